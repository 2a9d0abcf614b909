/** POST /schedules/{id}/enable: turns a schedule on or off; what runs goes on. */
import { enableBody, schedule, scheduleParams } from '../../contract/api/schedules.ts'
import { toSchedule, updateSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { nextTimeOf } from '../../workflows/run-schedules.ts'
import { existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Turn a schedule on or off',
    needs: ['DB', 'CLOCK'],
    params: scheduleParams,
    body: enableBody,
    responses: { 200: schedule },
    errors: ['SCHEDULE_NOT_FOUND'],
  },
  async ({ params, body: { enabled }, env: { DB, CLOCK } }) => {
    const before = await existingSchedule(DB.orm, params.id)
    const nextExecutionAt = nextTimeOf({ ...before, enabled }, CLOCK.now())
    await updateSchedule(DB.orm, before.id, { enabled, nextExecutionAt })
    return toSchedule(await existingSchedule(DB.orm, before.id))
  },
)
