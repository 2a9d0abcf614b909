/** POST /schedules: a schedule, whose clock runs from now on. */
import { randomUUID } from 'node:crypto'
import { createScheduleBody, schedule } from '../../contract/api/schedules.ts'
import { findSchedule, insertSchedule, toSchedule } from '../../db/queries/schedules.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { nameOfCaller } from '../../workflows/caller-name.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { nextTimeOf } from '../../workflows/run-schedules.ts'
import { checkTiming } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Create a schedule',
    needs: ['DB', 'CLOCK'],
    body: createScheduleBody,
    responses: { 201: schedule },
    errors: ['NAME_TAKEN', 'UNKNOWN_SCHEDULE'],
  },
  async ({ body, env: { DB, CLOCK }, caller }) => {
    const now = CLOCK.now()
    const row = {
      id: randomUUID(),
      name: body.name,
      description: body.description,
      cronExpression: body.cron_expression,
      timezone: body.timezone,
      scheduleType: body.schedule_type,
      chainParentScheduleId: body.chain_parent_schedule_id,
      chainDelayMinutes: body.chain_delay_minutes,
      replicationType: body.replication_type,
      maxConcurrentJobs: body.max_concurrent_jobs,
      retryAttempts: body.retry_attempts,
      retryDelayMinutes: body.retry_delay_minutes,
      enabled: body.enabled,
      skipIfRunning: body.skip_if_running,
      createdBy: nameOfCaller(caller, body.created_by),
    }
    await checkTiming(DB.orm, row, null, now)
    await withFreeName(body.name, () => insertSchedule(DB.orm, { ...row, nextExecutionAt: nextTimeOf(row, now) }))
    return answer(201, toSchedule((await findSchedule(DB.orm, row.id))!))
  },
)
