/** POST /schedules/{id}/trigger: runs a schedule now. */
import { scheduleParams, triggerAnswer, triggerBody } from '../../contract/api/schedules.ts'
import { HubError } from '../../contract/errors.ts'
import { findScheduleRun, lockSchedule, runningRunOf } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { nameOfCaller } from '../../workflows/caller-name.ts'
import { beginScheduleRun, bringOn } from '../../workflows/run-schedules.ts'
import { existingSchedule } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Run a schedule now',
    needs: ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS'],
    params: scheduleParams,
    body: triggerBody,
    responses: { 200: triggerAnswer },
    errors: ['SCHEDULE_NOT_FOUND', 'SCHEDULE_DISABLED', 'JOB_RUNNING'],
  },
  async ({ params, body, env, caller }) => {
    const { DB, CLOCK } = env
    const now = CLOCK.now()
    const triggeredBy = nameOfCaller(caller, body.created_by)
    const reason = body.reason ?? null
    const id = await DB.transaction(async (tx) => {
      const schedule = (await lockSchedule(tx, params.id)) ?? (await existingSchedule(tx, params.id))
      if (!schedule.enabled)
        throw new HubError('SCHEDULE_DISABLED', 'The schedule is disabled', { details: schedule.name })
      const running = schedule.skipIfRunning ? await runningRunOf(tx, schedule.id) : undefined
      if (running)
        throw new HubError('JOB_RUNNING', 'A run of this schedule is going on', {
          details: schedule.name,
          extra: { execution_id: running.id },
        })
      return beginScheduleRun(tx, schedule, { executionType: 'manual', scheduledAt: now, triggeredBy, reason }, now)
    })
    await bringOn(env, id)
    const [schedule, run] = [await existingSchedule(DB.orm, params.id), (await findScheduleRun(DB.orm, id))!]
    return {
      execution_id: id,
      schedule_id: schedule.id,
      schedule_name: schedule.name,
      status: run.status,
      triggered_at: now.toISOString(),
      triggered_by: triggeredBy,
      reason,
      jobs_created: run.jobsCreated,
      vms_processed: run.vmsEligible,
      summary: run.executionDetails ?? {},
    }
  },
)
