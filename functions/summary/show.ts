/** GET /summary: how the site stands: what is protected, what runs and ran, what needs somebody's attention. */
import { type Summary, summaryAnswer, summaryNamesMax, summaryQuery } from '../../contract/api/summary.ts'
import { countUnprotectedVms } from '../../db/queries/metrics.ts'
import {
  bytesSince,
  countByDay,
  damagedBackups,
  failingVms,
  missedRuns,
  repositoryRooms,
  runsSince,
  unprotectedVms,
} from '../../db/queries/summary.ts'
import { defineFunction } from '../../runtime/function.ts'

const dayMs = 24 * 3600 * 1000

export default defineFunction(
  { summary: 'How the site stands', needs: ['DB', 'CLOCK'], query: summaryQuery, responses: { 200: summaryAnswer } },
  async ({ query, env: { DB, CLOCK } }): Promise<Summary> => {
    const now = CLOCK.now()
    const dayAgo = new Date(now.getTime() - dayMs)
    const [vms, unprotected, days, lastDay, bytes, repositories, unprotectedNames, damaged, missed] = await Promise.all(
      [
        failingVms(DB.orm, summaryNamesMax),
        countUnprotectedVms(DB.orm),
        countByDay(DB.orm, now, query.utc_offset_minutes),
        runsSince(DB.orm, dayAgo),
        bytesSince(DB.orm, dayAgo),
        repositoryRooms(DB.orm, now),
        unprotectedVms(DB.orm, summaryNamesMax),
        damagedBackups(DB.orm, summaryNamesMax),
        missedRuns(DB.orm, new Date(now.getTime() - 7 * dayMs), summaryNamesMax),
      ],
    )
    return {
      vms: {
        total: vms.total,
        protected: vms.total - unprotected,
        unprotected,
        never_backed_up: vms.neverBackedUp,
        failing: vms.failing,
      },
      days,
      last_24_hours: { ...lastDay, bytes_transferred: bytes },
      repositories,
      failing_vms: vms.named,
      unprotected_vms: unprotectedNames,
      damaged_backups: damaged,
      missed_runs: missed,
    }
  },
)
