/** GET /schedules/{id}/executions: the runs of a schedule, newest first. */
import { counts } from '../../contract/api/common.ts'
import { scheduleExecutionsAnswer, scheduleExecutionsQuery, scheduleParams } from '../../contract/api/schedules.ts'
import { listScheduleRuns, toScheduleExecution } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Runs of a schedule',
    needs: ['DB', 'CLOCK'],
    params: scheduleParams,
    query: scheduleExecutionsQuery,
    responses: { 200: scheduleExecutionsAnswer },
    errors: ['SCHEDULE_NOT_FOUND'],
  },
  async ({ params, query: { limit, page }, env: { DB, CLOCK } }) => {
    const schedule = await existingSchedule(DB.orm, params.id)
    const offset = (page - 1) * limit
    const { rows, total } = await listScheduleRuns(DB.orm, schedule.id, { limit, offset })
    return {
      executions: rows.map((row) => toScheduleExecution(row, schedule.name)),
      ...counts(rows, total),
      page,
      page_size: limit,
      has_more: offset + rows.length < total,
      retrieved_at: CLOCK.now().toISOString(),
    }
  },
)
