/** PUT /schedules/{id}: changes the sent fields; the clock follows at once. */
import { schedule, scheduleParams, updateScheduleBody } from '../../contract/api/schedules.ts'
import { lockSchedule, toSchedule, updateSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { nextTimeOf } from '../../workflows/run-schedules.ts'
import { checkTiming, existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Change a schedule',
    needs: ['DB', 'CLOCK'],
    params: scheduleParams,
    body: updateScheduleBody,
    responses: { 200: schedule },
    errors: ['SCHEDULE_NOT_FOUND', 'NAME_TAKEN', 'UNKNOWN_SCHEDULE'],
  },
  async ({ params, body, env: { DB, CLOCK } }) => {
    const now = CLOCK.now()
    await withFreeName(body.name, () =>
      DB.transaction(async (tx) => {
        const before = (await lockSchedule(tx, params.id)) ?? (await existingSchedule(tx, params.id))
        const timing = {
          cronExpression: body.cron_expression ?? before.cronExpression,
          timezone: body.timezone ?? before.timezone,
          scheduleType: body.schedule_type ?? before.scheduleType,
          chainParentScheduleId:
            body.chain_parent_schedule_id === undefined ? before.chainParentScheduleId : body.chain_parent_schedule_id,
          enabled: body.enabled ?? before.enabled,
        }
        await checkTiming(tx, timing, before.id, now)
        await updateSchedule(tx, before.id, {
          ...timing,
          name: body.name,
          description: body.description,
          chainDelayMinutes: body.chain_delay_minutes,
          replicationType: body.replication_type,
          maxConcurrentJobs: body.max_concurrent_jobs,
          retryAttempts: body.retry_attempts,
          retryDelayMinutes: body.retry_delay_minutes,
          skipIfRunning: body.skip_if_running,
          nextExecutionAt: nextTimeOf(timing, now),
        })
      }),
    )
    return toSchedule(await existingSchedule(DB.orm, params.id))
  },
)
