/**
 * Goes on with a run of a flow, from wherever it was left: looks at its backups, starts those whose turn it is, and ends the run when none is left.
 * Every step is a change of one row from the state that it was seen in, so that any number of hubs may do this at once, and any may die.
 */
import { isActive } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import { countActive, findBackup } from '../db/queries/backups.ts'
import {
  type BackupOfJob,
  backupsOfRun,
  busyJobsOfScheduleRun,
  type FlowJobRow,
  findFlowRun,
  jobsOfRun,
  lockFlowRun,
  moveJob,
  runOfBackup,
  updateFlowRun,
} from '../db/queries/flow-runs.ts'
import { type FlowRow, type FlowRunRow, findFlow, noteFlowRun } from '../db/queries/flows.ts'
import { lockScheduleRun } from '../db/queries/schedules.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { interruptedStart } from './reconcile-jobs.ts'
import { startBackup } from './start-backup.ts'

type AdvanceEnv = Env<'DB' | 'AGENT' | 'NODE' | 'KEYS' | 'CLOCK' | 'SETTINGS'>

/** A hub that took a job and has not made its row by then is taken for dead. One that was only slow does no harm: the slot of the VM lets one start through. */
const claimMs = 15_000
/** How long a job waits that found no free port, while other backups run that will free theirs. */
const portWaitMs = 10_000
/** Starts of one step; the next follows a second later. */
const startsAtOnce = 8

const messageOf = (error: unknown) =>
  error instanceof HubError
    ? `${error.code}: ${error.message}${error.details ? ` (${error.details})` : ''}`
    : 'INTERNAL: the backup could not be started'

/** One more try came to nothing: the job waits for the next one, or has failed. */
const failTry = async (
  { DB, CLOCK }: Env<'DB' | 'CLOCK'>,
  run: FlowRunRow,
  job: FlowJobRow,
  errorMessage: string,
): Promise<void> => {
  const { retryAttempts, retryDelayMinutes } = run.executionMetadata
  const failures = job.failures + 1
  const isLast = failures > retryAttempts
  await moveJob(DB.orm, job.id, job.state, {
    state: isLast ? 'failed' : 'waiting',
    failures,
    errorMessage,
    notBefore: isLast ? null : new Date(CLOCK.now().getTime() + retryDelayMinutes * 60_000),
  })
}

/** Brings one job in line with the backup that was made for it. */
const settleJob = async (
  env: Env<'DB' | 'CLOCK'>,
  run: FlowRunRow,
  job: FlowJobRow,
  backup: BackupOfJob | undefined,
): Promise<void> => {
  const { DB, CLOCK } = env
  if (job.state === 'starting') {
    // Until it has begun, whoever starts it says what becomes of it.
    const isMade = backup && backup.createdAt >= job.claimedAt!
    if (isMade && (backup.startedAt !== null || !isActive(backup.status)))
      await moveJob(DB.orm, job.id, 'starting', { state: 'running', errorMessage: null })
    else if (!isMade && CLOCK.now().getTime() - job.claimedAt!.getTime() > claimMs)
      await moveJob(DB.orm, job.id, 'starting', { state: 'waiting', claimedAt: null })
    return
  }
  if (job.state !== 'running') return
  if (!backup) await failTry(env, run, job, 'the backup was deleted')
  else if (backup.status === 'completed')
    await moveJob(DB.orm, job.id, 'running', { state: 'completed', errorMessage: null })
  else if (backup.status === 'cancelled')
    await moveJob(DB.orm, job.id, 'running', { state: 'cancelled', errorMessage: backup.errorMessage })
  // Nothing had been done yet: that is no failure of this VM.
  else if (backup.status === 'failed' && backup.errorMessage === interruptedStart)
    await moveJob(DB.orm, job.id, 'running', { state: 'waiting', notBefore: null })
  else if (backup.status === 'failed') await failTry(env, run, job, backup.errorMessage ?? 'the backup failed')
}

const isBusy = ({ state }: FlowJobRow) => state === 'starting' || state === 'running'
const isOpen = (job: FlowJobRow) => isBusy(job) || job.state === 'waiting'

/** Takes the jobs whose turn it is: the run's row, and that of the schedule's run, are locked meanwhile, so that the limits hold. */
const claim = ({ DB, CLOCK }: AdvanceEnv, run: FlowRunRow): Promise<FlowJobRow[]> =>
  DB.transaction(async (tx) => {
    const { maxConcurrentVms, maxConcurrentJobs } = run.executionMetadata
    if (run.scheduleExecutionId !== null) await lockScheduleRun(tx, run.scheduleExecutionId)
    await lockFlowRun(tx, run.id)
    const jobs = await jobsOfRun(tx, run.id)
    const now = CLOCK.now()
    let free = Math.min(maxConcurrentVms - jobs.filter(isBusy).length, startsAtOnce)
    if (maxConcurrentJobs !== null && run.scheduleExecutionId !== null)
      free = Math.min(free, maxConcurrentJobs - (await busyJobsOfScheduleRun(tx, run.scheduleExecutionId)))
    const turn = jobs.filter(({ state, notBefore }) => state === 'waiting' && (notBefore === null || notBefore <= now))
    const claimed: FlowJobRow[] = []
    for (const job of turn.slice(0, Math.max(0, free)))
      if (await moveJob(tx, job.id, 'waiting', { state: 'starting', claimedAt: now, notBefore: null }))
        claimed.push({ ...job, state: 'starting', claimedAt: now, notBefore: null })
    return claimed
  })

const begin = async (env: AdvanceEnv, run: FlowRunRow, flow: FlowRow, job: FlowJobRow): Promise<void> => {
  const start = (type: 'full' | 'incremental') =>
    startBackup(env, {
      vmName: undefined,
      vmContextId: job.vmContextId,
      repositoryId: flow.repositoryId ?? '',
      type,
      policyId: flow.policyId,
      tags: { flow: flow.name.slice(0, 256) },
      flowJobId: job.id,
    })
  if (run.executionMetadata.backupType === 'full') await start('full')
  else
    await start('incremental').catch((error: unknown) => {
      if (!(error instanceof HubError) || error.code !== 'FULL_BACKUP_REQUIRED') throw error
      return start('full')
    })
}

const startJob = async (env: AdvanceEnv, run: FlowRunRow, flow: FlowRow, job: FlowJobRow): Promise<void> => {
  const { DB, CLOCK } = env
  try {
    if (flow.flowType === 'replication')
      throw new HubError('SERVICE_UNAVAILABLE', 'This version does not replicate to a cloud')
    await begin(env, run, flow, job)
    await moveJob(DB.orm, job.id, 'starting', { state: 'running', errorMessage: null })
  } catch (error) {
    const code = error instanceof HubError ? error.code : undefined
    if (code === 'BACKUP_RUNNING') {
      // A start of ours that was taken for dead, or somebody else's backup.
      const other = await findBackup(DB.orm, String((error as HubError).extra.backup_id))
      await moveJob(
        DB.orm,
        job.id,
        'starting',
        other?.job.flowJobId === job.id
          ? { state: 'running', errorMessage: null }
          : { state: 'skipped', errorMessage: messageOf(error) },
      )
    } else if (code === 'NBD_PORTS_EXHAUSTED' && (await countActive(DB.orm)) > 0)
      await moveJob(DB.orm, job.id, 'starting', {
        state: 'waiting',
        errorMessage: messageOf(error),
        notBefore: new Date(CLOCK.now().getTime() + portWaitMs),
      })
    else await failTry(env, run, job, messageOf(error))
  }
}

/** Success: all completed. Error: none did. */
const outcomeOf = (jobs: FlowJobRow[]): 'success' | 'warning' | 'error' => {
  const completed = jobs.filter(({ state }) => state === 'completed').length
  return completed === 0 ? 'error' : completed === jobs.length ? 'success' : 'warning'
}
const explain = (jobs: FlowJobRow[]): string | null => {
  if (jobs.length === 0) return 'there was no VM to protect: the group has no enabled member'
  const rest = jobs.filter(({ state }) => state !== 'completed' && !isOpen({ state } as FlowJobRow))
  const told = rest.slice(0, 10).map(({ vmName, state, errorMessage }) => `${vmName} ${state}: ${errorMessage ?? ''}`)
  if (rest.length > told.length) told.push(`and ${rest.length - told.length} more`)
  return told.length > 0 ? told.join('\n') : null
}

/** Writes the figures of the run's jobs, and ends the run when all of them have ended. */
const writeFigures = ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>, runId: string): Promise<void> =>
  DB.transaction(async (tx) => {
    const run = await lockFlowRun(tx, runId)
    if (run?.status !== 'running') return
    const jobs = await jobsOfRun(tx, runId)
    const backups = await backupsOfRun(
      tx,
      jobs.map(({ id }) => id),
    )
    const inState = (state: FlowJobRow['state']) => jobs.filter((job) => job.state === state).length
    // Those that were made and deleted again stay named.
    const createdJobIds = [...new Set([...(run.createdJobIds ?? []), ...backups.map(({ id }) => id)])]
    const figures = {
      jobsCreated: createdJobIds.length,
      jobsCompleted: inState('completed'),
      jobsFailed: inState('failed') + inState('cancelled'),
      jobsSkipped: inState('skipped'),
      bytesTransferred: Math.max(
        run.bytesTransferred,
        backups.reduce((total, backup) => total + backup.bytesTransferred, 0),
      ),
      createdJobIds,
      errorMessage: explain(jobs),
    }
    if (jobs.some(isOpen)) {
      await updateFlowRun(tx, runId, figures)
      return
    }
    const [now, status] = [CLOCK.now(), outcomeOf(jobs)]
    const seconds = Math.max(0, Math.round((now.getTime() - run.startedAt!.getTime()) / 1000))
    await updateFlowRun(tx, runId, { ...figures, status, completedAt: now, executionTimeSeconds: seconds })
    await noteFlowRun(
      tx,
      run.flowId,
      { lastExecutionId: runId, lastExecutionStatus: status, lastExecutionTime: run.startedAt },
      status === 'success' ? { successful: 1 } : { failed: 1 },
    )
  })

const settle = async (env: Env<'DB' | 'CLOCK'>, run: FlowRunRow): Promise<void> => {
  const busy = (await jobsOfRun(env.DB.orm, run.id)).filter(isBusy)
  const backups = await backupsOfRun(
    env.DB.orm,
    busy.map(({ id }) => id),
  )
  for (const job of busy)
    await settleJob(
      env,
      run,
      job,
      backups.findLast(({ flowJobId }) => flowJobId === job.id),
    )
}

/** Tells the run that a backup was made for of its end; starts none. Without it the next round sees it by itself. */
export const settleFlowOf = async (env: Env<'DB' | 'CLOCK'>, backupId: string): Promise<void> => {
  const runId = await runOfBackup(env.DB.orm, backupId)
  const run = runId === undefined ? undefined : await findFlowRun(env.DB.orm, runId)
  if (run?.status !== 'running') return
  await settle(env, run)
  await writeFigures(env, run.id)
}

/** One step of a run. A run that has ended, or is gone, is left alone. */
export const advanceFlow = async (env: AdvanceEnv, runId: string): Promise<void> => {
  const run = await findFlowRun(env.DB.orm, runId)
  if (run?.status !== 'running') return
  const flow = await findFlow(env.DB.orm, run.flowId)
  if (!flow) return
  await settle(env, run)
  await Promise.all((await claim(env, run)).map((job) => startJob(env, run, flow, job)))
  await writeFigures(env, runId)
}
