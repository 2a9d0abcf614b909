/** Takes over what a backup client reports. Progress moves forward only, whatever order reports arrive in (contract section 9). */
import { isActive } from '../contract/api/backups.ts'
import type { Telemetry } from '../contract/api/telemetry.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { type DiskRow, findByDiskFile, type JobRow, stateOfBackup, updateBackupDisk } from '../db/queries/backups.ts'
import {
  type DiskProgress,
  findProgress,
  type JobProgress,
  lockProgress,
  moveProgress,
  type Progress,
} from '../db/queries/progress.ts'
import { jobEnded } from './complete-backup.ts'
import { type EndEnv, failBackup } from './end-backup.ts'

export type Applied = { applied: boolean; status: JobRow['status'] }
/** A sender's clock may be this far ahead; more, and its time counts as the arrival. */
const aheadMaxMs = 5 * 60 * 1000

/** The job that an id of the path means: its own, or that of one of its disks' files. @throws JOB_NOT_FOUND */
export const telemetryTarget = async (db: Executor, jobId: string): Promise<Target> => {
  const known = await findProgress(db, jobId)
  if (known) return { jobId, diskIndex: undefined, known }
  const viaFile = await findByDiskFile(db, jobId)
  if (!viaFile) throw new HubError('JOB_NOT_FOUND', 'There is no such job', { details: jobId.slice(0, 100) })
  return viaFile
}

const percentOf = (done: number, total: number) =>
  total > 0 ? Math.min(100, Math.round((done / total) * 10_000) / 100) : 0
/** Never lower; a zero or absent number keeps what is there. */
const forward = (stored: number, reported: number | undefined) => Math.max(stored, reported ?? 0)

type DiskReport = NonNullable<Telemetry['disks']>[number]
const isMoving = ({ status, bytes_transferred = 0 }: DiskReport) =>
  status === undefined ? bytes_transferred > 0 : status !== 'pending' && status !== 'cancelled'
const diskChange = (row: DiskProgress, report: DiskReport): Partial<DiskRow> => {
  const bytesTransferred = forward(row.bytesTransferred, report.bytes_transferred)
  const totalBytes = forward(row.totalBytes, report.total_bytes)
  const done = report.status === 'completed'
  const failed = report.status === 'failed' || (report.error_message ?? '') !== ''
  const computed = report.progress_percent || percentOf(bytesTransferred, totalBytes || row.capacityBytes)
  return {
    bytesTransferred,
    totalBytes,
    progressPercent: done ? 100 : forward(row.progressPercent, computed),
    status: failed ? 'failed' : isMoving(report) ? 'in_progress' : row.status,
    ...(report.error_message ? { errorMessage: report.error_message } : {}),
  }
}

const jobChange = (
  job: JobProgress,
  report: Telemetry,
  sums: { bytes: number; total: number },
  ownTotals: boolean,
): Partial<JobProgress> => {
  const bytesTransferred = forward(
    job.bytesTransferred,
    Math.max(ownTotals ? (report.bytes_transferred ?? 0) : 0, sums.bytes),
  )
  // Of a full the total is the size of its disks, known from the start; of an incremental it is what the client says.
  const totalBytes =
    job.backupType === 'full'
      ? job.totalBytes
      : forward(job.totalBytes, Math.max(ownTotals ? (report.total_bytes ?? 0) : 0, sums.total))
  const computed = (ownTotals && report.progress_percent) || percentOf(bytesTransferred, totalBytes)
  return {
    bytesTransferred,
    totalBytes,
    progressPercent: forward(job.progressPercent, computed),
    ...(report.transfer_speed_bps ? { transferSpeedBps: report.transfer_speed_bps } : {}),
    ...(report.eta_seconds ? { etaSeconds: report.eta_seconds } : {}),
    ...(report.status === 'completed'
      ? { currentPhase: 'completed' }
      : report.current_phase
        ? { currentPhase: report.current_phase }
        : {}),
  }
}

const errorOf = ({ status, error }: Telemetry): string | undefined => {
  const said = typeof error === 'string' ? error : error?.message
  if (said) return said
  return status === 'failed' ? 'the backup client reported a failure' : undefined
}

type Target = {
  jobId: string
  diskIndex: number | undefined
  /** How far it was when it was looked for. */
  known?: Progress
}
/** Of single disks. Totals sent under a disk's file name are that disk's. */
const diskReportsOf = ({ diskIndex }: Target, report: Telemetry): DiskReport[] => [
  ...(report.disks ?? []),
  ...(diskIndex === undefined
    ? []
    : [
        {
          disk_index: diskIndex,
          bytes_transferred: report.bytes_transferred,
          total_bytes: report.total_bytes,
          progress_percent: report.progress_percent,
          status: report.status === 'completed' ? ('completed' as const) : ('running' as const),
        },
      ]),
]

/** @throws VALIDATION_FAILED for a disk that the backup does not have */
const checkDisks = (report: Telemetry, disks: readonly DiskProgress[]) => {
  const unknown = report.disks?.findIndex((disk) => !disks.some(({ diskIndex }) => diskIndex === disk.disk_index)) ?? -1
  if (unknown >= 0)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: `disks[${unknown}].disk_index`, message: 'the backup has no such disk', code: 'RANGE' }],
    })
}

/** @returns undefined when the job was changed since it was read */
const store = async (
  db: Executor,
  known: Progress | undefined,
  target: Target,
  report: Telemetry,
  { arrived, sentAt }: { arrived: Date; sentAt: Date },
): Promise<Applied | undefined> => {
  if (!known) throw new HubError('JOB_NOT_FOUND', 'There is no such job')
  const { job, disks } = known
  if (!isActive(job.status)) throw jobEnded(job)
  checkDisks(report, disks)
  const move = async (applied: boolean, change: Partial<JobProgress>): Promise<Applied | undefined> =>
    (await moveProgress(db, job, { ...change, lastTelemetryAt: arrived }))
      ? { applied, status: change.status ?? job.status }
      : undefined
  if (job.lastTelemetrySentAt !== null && sentAt < job.lastTelemetrySentAt)
    return move(false, job.status === 'stalled' ? { status: 'in_progress' } : {})
  const current = new Map(disks.map((disk) => [disk.diskIndex, disk]))
  for (const one of diskReportsOf(target, report)) {
    const row = current.get(one.disk_index)!
    if (row.status === 'completed') continue
    const change = diskChange(row, one)
    current.set(row.diskIndex, { ...row, ...change })
    await updateBackupDisk(db, row.id, change)
  }
  const rows = [...current.values()]
  const sums = {
    bytes: rows.reduce((sum, row) => sum + row.bytesTransferred, 0),
    total: rows.reduce((sum, row) => sum + row.totalBytes, 0),
  }
  return move(true, {
    ...jobChange(job, report, sums, target.diskIndex === undefined),
    status: report.status === 'stalled' ? 'stalled' : 'in_progress',
    lastTelemetrySentAt: sentAt,
  })
}

/** Reports of one job that meet are rare; who meets twice waits for the others. */
const triesWithoutLock = 2

/** @throws JOB_NOT_FOUND, JOB_ENDED, VALIDATION_FAILED for an unknown disk */
export const applyTelemetry = async (env: EndEnv, target: Target, report: Telemetry): Promise<Applied> => {
  const { DB, CLOCK } = env
  const arrived = CLOCK.now()
  const said = report.timestamp === undefined ? arrived : new Date(report.timestamp)
  const times = { arrived, sentAt: said.getTime() > arrived.getTime() + aheadMaxMs ? arrived : said }

  let applied: Applied | undefined
  // Of the job alone: one row, one statement, no transaction.
  if (diskReportsOf(target, report).length === 0)
    for (let attempt = 1; !applied && attempt <= triesWithoutLock; attempt++) {
      const known = attempt === 1 && target.known ? target.known : await findProgress(DB.orm, target.jobId)
      applied = await store(DB.orm, known, target, report, times)
    }
  // Nobody can change a row that is locked.
  applied ??= await DB.transaction(
    async (tx) => (await store(tx, await lockProgress(tx, target.jobId), target, report, times))!,
  )

  const failure = errorOf(report)
  if (failure === undefined) return applied
  await failBackup(env, target.jobId, failure)
  return { ...applied, status: (await stateOfBackup(DB.orm, target.jobId))!.status }
}
