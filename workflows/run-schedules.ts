/** Runs of schedules: what is due is begun once, whatever number of hubs look; what runs is brought to its end. */
import { randomUUID } from 'node:crypto'
import { HubError } from '../contract/errors.ts'
import { type Executor, isDuplicate } from '../db/database.ts'
import { activeFlowRuns, runsOfScheduleRun } from '../db/queries/flow-runs.ts'
import { flowsOfSchedule } from '../db/queries/flows.ts'
import { groupsOfSchedule } from '../db/queries/groups.ts'
import {
  dueScheduleIds,
  insertScheduleRun,
  lockSchedule,
  lockScheduleRun,
  noteScheduleTimes,
  runningRunOf,
  runningScheduleRuns,
  type ScheduleRow,
  schedulesAfter,
  updateScheduleRun,
} from '../db/queries/schedules.ts'
import { activeOsseaConfigId } from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { advanceFlow } from './advance-flow.ts'
import { beginFlow } from './begin-flow.ts'
import { nextCronTime } from './cron-times.ts'
import { notify } from './notify.ts'

export type ScheduleEnv = Env<'DB' | 'AGENT' | 'NODE' | 'KEYS' | 'CLOCK' | 'SETTINGS'>

/** A run that is later than this was missed: it is named, and not made up (contract section 15). A restart of the hub is quicker. */
const graceMs = 5 * 60_000
/** Of runs that were missed while nobody was there; more are not counted one by one. */
const missedMax = 1000
/** Runs that are brought on at once. */
const runsAtOnce = 4

type Order = {
  executionType: 'scheduled' | 'manual'
  scheduledAt: Date
  triggeredBy: string | null
  reason: string | null
}

/** When it comes due by itself. Of a chain: when the schedule before it has run. */
export const nextTimeOf = (
  schedule: Pick<ScheduleRow, 'enabled' | 'scheduleType' | 'cronExpression' | 'timezone'>,
  after: Date,
): Date | null =>
  schedule.enabled && schedule.scheduleType === 'cron'
    ? nextCronTime(schedule.cronExpression, schedule.timezone, after)
    : null

/** Writes the run and those of its flows. @returns its id @throws ER_DUP_ENTRY when this run has been begun */
export const beginScheduleRun = async (
  tx: Executor,
  schedule: ScheduleRow,
  order: Order,
  now: Date,
): Promise<string> => {
  const id = randomUUID()
  const [flows, groups] = [await flowsOfSchedule(tx, schedule.id), await groupsOfSchedule(tx, schedule.id)]
  await insertScheduleRun(tx, {
    id,
    scheduleId: schedule.id,
    scheduledAt: order.scheduledAt,
    startedAt: now,
    status: 'running',
    executionType: order.executionType,
    triggeredBy: order.triggeredBy,
    createdAt: now,
  })
  const begun: string[] = []
  const notBegun: Record<string, string> = {}
  for (const flow of flows)
    try {
      await beginFlow(
        tx,
        flow.id,
        {
          executionType: order.executionType,
          triggeredBy: `schedule ${schedule.name}`,
          schedule: {
            executionId: id,
            rules: {
              maxConcurrentJobs: schedule.maxConcurrentJobs,
              backupType: schedule.replicationType,
              retryAttempts: schedule.retryAttempts,
              retryDelayMinutes: schedule.retryDelayMinutes,
            },
          },
        },
        now,
      )
      begun.push(flow.name)
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      notBegun[flow.name] = `${error.code}: ${error.message}`
    }
  // Groups are replicated, which takes a cloud to replicate to.
  if (groups.length > 0 && (await activeOsseaConfigId(tx)) === null)
    for (const group of groups) notBegun[`group ${group.name}`] = 'NO_ACTIVE_OSSEA_CONFIG: no cloud is configured'
  await updateScheduleRun(tx, id, { executionDetails: { reason: order.reason, flows: begun, not_begun: notBegun } })
  await noteScheduleTimes(tx, schedule.id, { lastExecutionAt: now })
  return id
}

const skip = (tx: Executor, schedule: ScheduleRow, scheduledAt: Date, now: Date, why: string, details: object) =>
  insertScheduleRun(tx, {
    id: randomUUID(),
    scheduleId: schedule.id,
    scheduledAt,
    completedAt: now,
    status: 'skipped',
    executionType: 'scheduled',
    errorMessage: why,
    executionDetails: { ...details },
    triggeredBy: 'schedule',
    createdAt: now,
  })

/** The times from the first that is due up to now, as far as they are counted. */
const timesUpTo = (schedule: ScheduleRow, now: Date): Date[] => {
  const times = [schedule.nextExecutionAt!]
  while (schedule.scheduleType === 'cron' && times.length <= missedMax) {
    const next = nextCronTime(schedule.cronExpression, schedule.timezone, times.at(-1)!)
    if (next === null || next > now) break
    times.push(next)
  }
  return times
}

/** Begins what is due of one schedule, names what was missed, and sets its next time: all or nothing. */
const fire = ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>, scheduleId: string): Promise<void> =>
  DB.transaction(async (tx) => {
    const schedule = await lockSchedule(tx, scheduleId)
    const now = CLOCK.now()
    if (!schedule?.enabled || schedule.nextExecutionAt === null || schedule.nextExecutionAt > now) return
    const times = timesUpTo(schedule, now)
    const latest = times.at(-1)!
    const isMissed = now.getTime() - latest.getTime() > graceMs
    const missed = isMissed ? times : times.slice(0, -1)
    await noteScheduleTimes(tx, scheduleId, { nextExecutionAt: nextTimeOf(schedule, now) })
    if (missed.length > 0) {
      const why =
        missed.length === 1
          ? 'missed: no hub was running at that time'
          : `missed: no hub was running at ${missed.length} times from ${missed[0]!.toISOString()} to ${missed.at(-1)!.toISOString()}`
      const details = { missed: missed.slice(0, 100).map((at) => at.toISOString()), missed_count: missed.length }
      await skip(tx, schedule, missed[0]!, now, why, details)
      const subject = { schedule_id: schedule.id, details: why }
      await notify(tx, 'run_missed', `The schedule ${schedule.name} has missed a run`, subject, now)
    }
    if (isMissed) return
    const before = schedule.skipIfRunning ? await runningRunOf(tx, scheduleId) : undefined
    if (before)
      await skip(tx, schedule, latest, now, 'skipped: the run before was still going on', { running: before.id })
    else
      await beginScheduleRun(
        tx,
        schedule,
        { executionType: 'scheduled', scheduledAt: latest, triggeredBy: 'schedule', reason: null },
        now,
      )
  })

/** Ends a run whose flows have all ended, and sets the time of the schedules that follow it. */
const finish = ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>, runId: string): Promise<void> =>
  DB.transaction(async (tx) => {
    const run = await lockScheduleRun(tx, runId)
    if (run?.status !== 'running') return
    const flows = await runsOfScheduleRun(tx, runId)
    const total = (value: (flow: (typeof flows)[number]) => number) => flows.reduce((sum, flow) => sum + value(flow), 0)
    const figures = {
      vmsEligible: total((flow) => flow.vmsProcessed),
      jobsCreated: total((flow) => flow.jobsCreated),
      jobsCompleted: total((flow) => flow.jobsCompleted),
      jobsFailed: total((flow) => flow.jobsFailed),
      jobsSkipped: total((flow) => flow.jobsSkipped),
    }
    if (flows.some(({ status }) => status === 'pending' || status === 'running')) {
      await updateScheduleRun(tx, runId, figures)
      return
    }
    const now = CLOCK.now()
    const notBegun = Object.keys((run.executionDetails?.not_begun as object | undefined) ?? {})
    const bad = flows.filter(({ status }) => status !== 'success').length + notBegun.length
    const nothingDone = bad > 0 && figures.jobsCompleted === 0
    await updateScheduleRun(tx, runId, {
      ...figures,
      status: nothingDone ? 'failed' : 'completed',
      completedAt: now,
      executionDurationSeconds: Math.round((now.getTime() - run.startedAt!.getTime()) / 1000),
      errorMessage: bad > 0 ? `${bad} of ${flows.length + notBegun.length} flows and groups did not succeed` : null,
    })
    for (const next of await schedulesAfter(tx, run.scheduleId))
      if (next.enabled)
        await noteScheduleTimes(tx, next.id, {
          nextExecutionAt: new Date(now.getTime() + next.chainDelayMinutes * 60_000),
        })
  })

/** @returns the first error, after all were tried: one that fails keeps none of the others from its turn */
const forEach = async (ids: string[], work: (id: string) => Promise<unknown>): Promise<unknown> => {
  let first: unknown
  for (let at = 0; at < ids.length; at += runsAtOnce)
    for (const result of await Promise.allSettled(ids.slice(at, at + runsAtOnce).map(work)))
      if (result.status === 'rejected') first ??= result.reason
  return first
}

/** Goes on with one run, as the next round would; what fails now is tried again by that one. */
export const bringOn = async (env: ScheduleEnv, runId: string): Promise<void> => {
  const flows = (await runsOfScheduleRun(env.DB.orm, runId)).map(({ id }) => id)
  await forEach(flows, (id) => advanceFlow(env, id))
  await finish(env, runId)
}

/** One round: begin what is due, go on with what runs, end what is done. */
export const runSchedules = async (env: ScheduleEnv): Promise<void> => {
  const { DB, CLOCK } = env
  const errors = [
    await forEach(await dueScheduleIds(DB.orm, CLOCK.now()), (id) =>
      fire(env, id).catch((error: unknown) => {
        // Another hub has begun this run; its time is set by now.
        if (!isDuplicate(error)) throw error
      }),
    ),
    await forEach(await activeFlowRuns(DB.orm), (id) => advanceFlow(env, id)),
    await forEach(
      (await runningScheduleRuns(DB.orm)).map(({ id }) => id),
      (id) => finish(env, id),
    ),
  ]
  const failed = errors.find((error) => error !== undefined)
  if (failed !== undefined) throw failed
}
