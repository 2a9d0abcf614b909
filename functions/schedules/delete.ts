/** DELETE /schedules/{id}: removes a schedule with its history. */
import { deleteScheduleAnswer, scheduleParams } from '../../contract/api/schedules.ts'
import { HubError } from '../../contract/errors.ts'
import { deleteSchedule, usersOfSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Remove a schedule',
    needs: ['DB', 'CLOCK'],
    params: scheduleParams,
    responses: { 200: deleteScheduleAnswer },
    errors: ['SCHEDULE_NOT_FOUND', 'SCHEDULE_IN_USE'],
  },
  async ({ params, env: { DB, CLOCK } }) => {
    const name = await DB.transaction(async (tx) => {
      const row = await existingSchedule(tx, params.id)
      const { groups, flows } = await usersOfSchedule(tx, row.id)
      if (groups.length + flows.length > 0)
        throw new HubError('SCHEDULE_IN_USE', 'The schedule is in use', {
          details: 'take it from these groups and flows first',
          extra: { groups, flows },
        })
      await deleteSchedule(tx, row.id)
      return row.name
    })
    return {
      success: true,
      message: `schedule ${name} removed`,
      schedule_id: params.id,
      timestamp: CLOCK.now().toISOString(),
    }
  },
)
