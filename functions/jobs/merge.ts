/** Cron: looks at what retention has not looked at since a backup was completed, and goes on with merges of points that no rule keeps. */
import { defineCron } from '../../runtime/function.ts'
import { applyDueRetention } from '../../workflows/apply-retention.ts'
import { runMerges } from '../../workflows/merge-backups.ts'

/** Short, so that a hub that is to end does not wait for a merge. */
const roundMs = 4_000

export default defineCron({ summary: 'Merge restore points', needs: ['DB', 'AGENT', 'CLOCK'] }, async (env) => {
  try {
    await applyDueRetention(env)
  } finally {
    await runMerges(env, roundMs)
  }
})
