/** GET /schedules/{id}: one schedule. */
import { schedule, scheduleParams } from '../../contract/api/schedules.ts'
import { toSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'One schedule',
    needs: ['DB'],
    params: scheduleParams,
    responses: { 200: schedule },
    errors: ['SCHEDULE_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => toSchedule(await existingSchedule(DB.orm, params.id)),
)
