/** Ends a backup that will not complete: the row first, then everything that it held. Both halves can be repeated. */
import { countEnded } from '../db/queries/backup-contexts.ts'
import { endOpenDisks, findBackup, type JobWithDisks, updateActiveBackup, updateBackup } from '../db/queries/backups.ts'
import { deletePortsOfJob, deleteProcess } from '../db/queries/ports.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { diskFileOf } from './chain-files.ts'
import { withJobLock } from './locks.ts'
import { notify } from './notify.ts'

export type EndEnv = Env<'DB' | 'AGENT' | 'NODE' | 'CLOCK'>
type Ending = { status: 'failed' | 'cancelled'; message: string | null; tellNode: boolean }

/**
 * Frees what an ended job held: exports, its files, ports. What can't be freed now is tried again by reconcile.
 * @returns whether all of it is gone
 */
export const cleanUpEnded = async ({ DB, AGENT }: EndEnv, { job, disks }: JobWithDisks): Promise<boolean> => {
  try {
    for (const disk of disks) {
      if (disk.exportName !== null) {
        await AGENT.dropExport(disk.exportName, true)
        await deleteProcess(DB.orm, disk.exportName)
      }
      await AGENT.deleteDiskFile(diskFileOf(job, disk))
    }
  } catch {
    return false
  }
  await deletePortsOfJob(DB.orm, job.id)
  await updateBackup(DB.orm, job.id, { cleanupPending: false })
  return true
}

/**
 * The same inside the job's lock, for those who hold it already.
 * @returns whether this call ended it; false when it had ended before
 */
export const endBackupLocked = async (
  env: EndEnv,
  backupId: string,
  { status, message, tellNode }: Ending,
): Promise<boolean> => {
  const { DB, NODE, CLOCK } = env
  const ended = await DB.transaction(async (tx) => {
    const change = {
      status,
      currentPhase: status,
      errorMessage: message,
      completedAt: CLOCK.now(),
      activeSlot: null,
      etaSeconds: null,
      cleanupPending: true,
    }
    if (!(await updateActiveBackup(tx, backupId, change))) return false
    await endOpenDisks(tx, backupId, status)
    const backup = await findBackup(tx, backupId)
    await countEnded(tx, backup!.job, undefined)
    if (status === 'failed') {
      const { vmName, repositoryId } = backup!.job
      const subject = { vm_name: vmName, backup_id: backupId, repository_id: repositoryId, details: message }
      await notify(tx, 'backup_failed', `The backup of ${vmName} has failed`, subject, CLOCK.now())
    }
    return true
  })
  if (!ended) return false
  if (tellNode) await NODE.stopBackup(backupId, message ?? status).catch(() => undefined)
  await cleanUpEnded(env, (await findBackup(DB.orm, backupId))!)
  return true
}

/** Ends an active backup. @returns false when it had ended before */
export const endBackup = (env: EndEnv, backupId: string, ending: Ending): Promise<boolean> =>
  withJobLock(env.DB, backupId, () => endBackupLocked(env, backupId, ending))

/** With less than this a repository is full, whatever its writers call it. */
const roomLeastBytes = 16 * 1024 * 1024

/** What programs say when a write found no room; a filesystem may still count some as free then. */
const ofFullDisk = /ENOSPC|EDQUOT|No space left|quota exceeded/i

/** The client knows only that a write failed; that the repository is full is for the hub to say. */
const withCause = async ({ DB, AGENT }: EndEnv, backupId: string, message: string): Promise<string> => {
  const backup = await findBackup(DB.orm, backupId)
  const storage = backup && (await AGENT.repositoryStorage(backup.job.repositoryId).catch(() => undefined))
  const isFull = storage !== undefined && storage.available_bytes < roomLeastBytes
  if (!(isFull || ofFullDisk.test(message)) || message.startsWith('INSUFFICIENT_STORAGE')) return message
  return `INSUFFICIENT_STORAGE: the repository is full; make room and start the backup again (${message})`
}

/** Contract section 8.6. */
export const failBackup = async (env: EndEnv, backupId: string, message: string): Promise<boolean> => {
  const told = (await withCause(env, backupId, message)).slice(0, 2000)
  return endBackup(env, backupId, { status: 'failed', message: told, tellNode: true })
}
