/** GET /schedules: all schedules with their next and last run. */
import { page } from '../../contract/api/common.ts'
import { listSchedulesQuery, schedulesAnswer } from '../../contract/api/schedules.ts'
import { listSchedules, toSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'List schedules',
    needs: ['DB', 'CLOCK'],
    query: listSchedulesQuery,
    responses: { 200: schedulesAnswer },
  },
  async ({ query, env: { DB, CLOCK } }) => {
    const all = (await listSchedules(DB.orm)).map(toSchedule)
    const enabled = all.filter((schedule) => schedule.enabled)
    const { shown, ...counted } = page(query.enabled_only ? enabled : all, query)
    return {
      schedules: shown,
      ...counted,
      enabled_count: enabled.length,
      disabled_count: all.length - enabled.length,
      retrieved_at: CLOCK.now().toISOString(),
    }
  },
)
