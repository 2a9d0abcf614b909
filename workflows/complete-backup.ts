/**
 * Completes disks of a backup, and the backup when all of its disks are. "Completed" is said last: the agent has flushed, fsynced
 * and checksummed the file, then the row is committed, then the client hears of it.
 */
import type { ExportState, SealBody } from '../contract/agent.ts'
import { isActive } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { countEnded, findBackupContextById, setRetentionDue } from '../db/queries/backup-contexts.ts'
import {
  findBackup,
  type JobRow,
  type JobWithDisks,
  lockBackup,
  newestEnded,
  updateActiveBackup,
  updateBackup,
  updateBackupDisk,
} from '../db/queries/backups.ts'
import { refreshChains } from '../db/queries/chains.ts'
import { deletePortsOfJob, deleteProcess } from '../db/queries/ports.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { queueImmediateCopies } from './copy-backups.ts'
import { type EndEnv, failBackup } from './end-backup.ts'
import { queueIndexByPolicy } from './index-files.ts'
import { withJobLock } from './locks.ts'
import { notify } from './notify.ts'

/** @param changeId null: the disk has no change tracking, and no incremental can build on it */
export type CompletedDisk = { diskIndex: number; changeId: string | null; bytesTransferred: number | null }

/** How long one question to the agent waits before progress is written and it is asked again. */
const sealWaitSeconds = 2

const notFound = () => new HubError('BACKUP_NOT_FOUND', 'Backup not found')
export const jobEnded = ({ status, errorMessage }: Pick<JobRow, 'status' | 'errorMessage'>) =>
  new HubError('JOB_ENDED', `The backup has ended: ${status}`, {
    details: errorMessage ?? '',
    extra: { job_status: status },
  })
const conflict = (diskIndex: number) =>
  new HubError('CHANGE_ID_CONFLICT', `Disk ${diskIndex} was completed with another change id`)

/** What is still to do of what is asked. @throws BACKUP_NOT_FOUND, DISK_NOT_FOUND, CHANGE_ID_CONFLICT, JOB_ENDED */
const openDisks = (backup: JobWithDisks | undefined, wanted: CompletedDisk[]): CompletedDisk[] => {
  if (!backup) throw notFound()
  const open: CompletedDisk[] = []
  for (const disk of wanted) {
    const row = backup.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
    if (!row) throw new HubError('DISK_NOT_FOUND', `The backup has no disk ${disk.diskIndex}`)
    if (row.status !== 'completed') open.push(disk)
    else if (row.diskChangeId !== disk.changeId) throw conflict(disk.diskIndex)
  }
  if (open.length > 0 && !isActive(backup.job.status)) throw jobEnded(backup.job)
  if (backup.job.status === 'failed' || backup.job.status === 'cancelled') throw jobEnded(backup.job)
  return open
}

const sealBodyOf = async ({ DB }: EndEnv, { job, disks }: JobWithDisks, disk: CompletedDisk): Promise<SealBody> => {
  const context = await findBackupContextById(DB.orm, job.vmBackupContextId)
  return {
    wait_seconds: sealWaitSeconds,
    change_id: disk.changeId,
    bytes_transferred: disk.bytesTransferred,
    manifest: {
      backup_id: job.id,
      backup_type: job.backupType === 'full' ? 'full' : 'incremental',
      parent_backup_id: job.parentBackupId,
      vm_name: job.vmName,
      vm_context_id: job.vmContextId,
      source: {
        vcenter_host: context?.vcenterHost ?? null,
        vm_path: context?.vmPath ?? null,
        vm_id: context?.vmwareVmId ?? null,
      },
      disk_count: disks.length,
      disk_label: disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)?.label ?? null,
      created_at: job.createdAt.toISOString(),
    },
  }
}

/** Waits until the agent has sealed one disk, showing the phase meanwhile. @throws JOB_ENDED when it can't be sealed */
const sealDisk = async (env: EndEnv, backup: JobWithDisks, disk: CompletedDisk): Promise<ExportState> => {
  const { DB, AGENT } = env
  const { job, disks } = backup
  const exportName = disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)?.exportName
  if (!exportName) throw jobEnded(job)
  const body = await sealBodyOf(env, backup, disk)
  const began = performance.now()
  for (;;) {
    let state: ExportState
    try {
      state = await AGENT.sealExport(exportName, body)
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'EXPORT_NOT_FOUND') throw error
      throw await endedMeanwhile(env, job.id, 'its export is gone')
    }
    if (state.status === 'sealed') {
      if (state.change_id !== disk.changeId) throw conflict(disk.diskIndex)
      return state
    }
    if (state.status === 'failed' || state.status === 'lost')
      throw await endedMeanwhile(env, job.id, state.error_message ?? `disk ${disk.diskIndex} could not be sealed`)
    const seconds = (performance.now() - began) / 1000
    const speed = Math.round(state.sealed_bytes / seconds)
    await updateActiveBackup(DB.orm, job.id, {
      currentPhase: 'finalizing',
      transferSpeedBps: speed,
      etaSeconds: speed > 0 ? Math.ceil((state.total_bytes - state.sealed_bytes) / speed) : null,
    })
  }
}

/** The job can't go on: ends it unless it has ended already, and gives the error that says so. */
const endedMeanwhile = async (env: EndEnv, backupId: string, why: string): Promise<HubError> => {
  await failBackup(env, backupId, why)
  const now = await findBackup(env.DB.orm, backupId)
  return now ? jobEnded(now.job) : notFound()
}

/** Commits sealed disks, and with the last of them the job, its chain and its counters: all or nothing. */
const commit = async (
  { DB, CLOCK }: EndEnv,
  backupId: string,
  sealed: { disk: CompletedDisk; state: ExportState }[],
): Promise<JobWithDisks> =>
  DB.transaction(async (tx) => {
    const before = await lockBackup(tx, backupId)
    const open = openDisks(
      before,
      sealed.map(({ disk }) => disk),
    )
    const now = CLOCK.now()
    for (const { disk, state } of sealed) {
      if (!open.includes(disk)) continue
      const row = before!.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)!
      await updateBackupDisk(tx, row.id, {
        status: 'completed',
        diskChangeId: disk.changeId,
        storedBytes: state.stored_bytes,
        manifestDigest: state.manifest_digest,
        progressPercent: 100,
        errorMessage: null,
        completedAt: now,
        ...(disk.bytesTransferred ? { bytesTransferred: disk.bytesTransferred } : {}),
      })
    }
    const after = (await findBackup(tx, backupId))!
    const transferred = after.disks.reduce((sum, disk) => sum + disk.bytesTransferred, 0)
    const bytesTransferred = Math.max(after.job.bytesTransferred, transferred)
    if (!isActive(after.job.status) || !after.disks.every(({ status }) => status === 'completed')) {
      await updateActiveBackup(tx, backupId, { status: 'in_progress', bytesTransferred })
      return (await findBackup(tx, backupId))!
    }
    await updateBackup(tx, backupId, {
      status: 'completed',
      currentPhase: 'completed',
      progressPercent: 100,
      etaSeconds: 0,
      bytesTransferred,
      completedAt: now,
      activeSlot: null,
      errorMessage: null,
      cleanupPending: true,
    })
    await countEnded(tx, after.job, now)
    if (after.job.policyId !== null) await setRetentionDue(tx, after.job.vmBackupContextId)
    await refreshChains(tx, after.job.vmBackupContextId)
    const completed = (await findBackup(tx, backupId))!
    await queueImmediateCopies(tx, completed, now)
    await queueIndexByPolicy(tx, completed, now)
    await tellRecovered(tx, completed.job, now)
    return completed
  })

/** The first good backup after one that has failed. */
const tellRecovered = async (tx: Executor, job: JobRow, now: Date): Promise<void> => {
  const [, before] = await newestEnded(tx, job.vmBackupContextId, 2)
  if (before?.status !== 'failed') return
  const subject = { vm_name: job.vmName, backup_id: job.id, repository_id: job.repositoryId }
  await notify(tx, 'backup_recovered', `${job.vmName} is backed up again`, subject, now)
}

/** Frees the exports and ports of a completed backup; its files stay. @returns whether all of it is done */
export const cleanUpCompleted = async (
  { DB, AGENT }: Env<'DB' | 'AGENT'>,
  { job, disks }: JobWithDisks,
): Promise<boolean> => {
  try {
    for (const { exportName } of disks) {
      if (exportName === null) continue
      await AGENT.dropExport(exportName, false)
      await deleteProcess(DB.orm, exportName)
    }
  } catch {
    return false
  }
  await deletePortsOfJob(DB.orm, job.id)
  await updateBackup(DB.orm, job.id, { cleanupPending: false })
  return true
}

/**
 * @throws BACKUP_NOT_FOUND, DISK_NOT_FOUND, CHANGE_ID_CONFLICT, JOB_ENDED; SERVICE_UNAVAILABLE when the agent does not answer, and
 * then the same call again goes on
 */
export const completeDisks = async (env: EndEnv, backupId: string, wanted: CompletedDisk[]): Promise<JobWithDisks> => {
  const { DB } = env
  const backup = await findBackup(DB.orm, backupId)
  const open = openDisks(backup, wanted)
  if (open.length === 0) return backup!
  const sealed = await Promise.all(open.map(async (disk) => ({ disk, state: await sealDisk(env, backup!, disk) })))
  const after = await withJobLock(DB, backupId, () => commit(env, backupId, sealed))
  if (after.job.status === 'completed') await cleanUpCompleted(env, after)
  return after
}
