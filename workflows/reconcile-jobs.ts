/**
 * Jobs against exports: what a job wants and is gone fails the job; what was sealed while no hub was there is committed; what no job
 * wants any more is removed. A second pass changes nothing. Touches nothing that the agent's ledger does not name.
 */
import type { ExportState } from '../contract/agent.ts'
import { isActive } from '../contract/api/backups.ts'
import { activeBackups, backupsToCleanUp, findBackup, type JobWithDisks } from '../db/queries/backups.ts'
import { deletePorts, keepProcesses, listPorts, renewPorts } from '../db/queries/ports.ts'
import { cleanUpCompleted, completeDisks } from './complete-backup.ts'
import { deleteMarked, deletingPhase } from './delete-backup.ts'
import { cleanUpEnded, type EndEnv, endBackupLocked, failBackup } from './end-backup.ts'
import { ifChainIdle, ifJobIdle } from './locks.ts'
import { leaseSeconds } from './nbd-ports.ts'

/** Of a backup that was cut off before anything had been done. */
export const interruptedStart = 'interrupted: the hub was stopped while it started this backup'

/** A start that nobody holds the lock of any more was cut off by the death of its hub. */
const failInterruptedStart = (env: EndEnv, backupId: string) =>
  ifJobIdle(env.DB, backupId, async () => {
    const now = await findBackup(env.DB.orm, backupId)
    if (now && isActive(now.job.status) && now.job.startedAt === null)
      await endBackupLocked(env, backupId, {
        status: 'failed',
        message: interruptedStart,
        tellNode: true,
      })
  })

const reconcileActive = async (env: EndEnv, { job, disks }: JobWithDisks, exports: Map<string, ExportState>) => {
  if (job.startedAt === null) {
    await failInterruptedStart(env, job.id)
    return
  }
  const sealed = []
  for (const disk of disks) {
    if (disk.status === 'completed') continue
    const state = disk.exportName === null ? undefined : exports.get(disk.exportName)
    if (!state || state.job_id !== job.id) {
      // Looked at again: a call that completed the disk meanwhile is no failure.
      const now = await findBackup(env.DB.orm, job.id)
      if (now?.disks.find(({ id }) => id === disk.id)?.status === 'completed') continue
      await failBackup(env, job.id, `interrupted: the export of disk ${disk.diskIndex} is gone`)
      return
    }
    if (state.status === 'lost' || state.status === 'failed') {
      await failBackup(env, job.id, state.error_message ?? `the export of disk ${disk.diskIndex} has failed`)
      return
    }
    if (state.status === 'sealed')
      sealed.push({ diskIndex: disk.diskIndex, changeId: state.change_id, bytesTransferred: null })
  }
  if (sealed.length > 0) await completeDisks(env, job.id, sealed)
}

/** An export of ours that no active job wants: its hub died between two steps, or its row is gone. */
const reconcileExport = async (env: EndEnv, state: ExportState) => {
  if (state.kind !== 'new' || state.job_id === null) return
  const backup = await findBackup(env.DB.orm, state.job_id)
  if (backup && (isActive(backup.job.status) || backup.job.cleanupPending)) return
  // A sealed file without a row may be all that is left of a restore point: it is let go, never deleted.
  const deleteFile = state.status !== 'sealed' && backup?.job.status !== 'completed'
  await env.AGENT.dropExport(state.export_name, deleteFile)
}

/** What a job that has ended still holds. */
const cleanUp = async (env: EndEnv, ended: JobWithDisks) => {
  if (ended.job.currentPhase === deletingPhase) await finishDeletion(env, ended.job.id, ended.job.vmBackupContextId)
  else await (ended.job.status === 'completed' ? cleanUpCompleted : cleanUpEnded)(env, ended)
}

/** A deletion that its hub did not live to finish, or that the agent could not. One under way holds the lock and is left alone. */
const finishDeletion = (env: EndEnv, backupId: string, vmBackupContextId: string) =>
  ifChainIdle(env.DB, vmBackupContextId, async () => {
    const backup = await findBackup(env.DB.orm, backupId)
    // Tried again with the next pass.
    if (backup?.job.currentPhase === deletingPhase) await deleteMarked(env, backup).catch(() => undefined)
  })

/** Renews the leases of ports in use, and frees those whose job has ended. */
const reconcilePorts = async ({ DB, CLOCK }: EndEnv, exports: ExportState[], asOf: Date) => {
  const busy = exports.filter(({ pid }) => pid !== null)
  await renewPorts(
    DB.orm,
    busy.map(({ port }) => port),
    new Date(CLOCK.now().getTime() + leaseSeconds * 1000),
  )
  await keepProcesses(
    DB.orm,
    busy.map(({ pid }) => pid!),
    asOf,
  )
  const orphans: number[] = []
  for (const row of await listPorts(DB.orm)) {
    if (row.allocatedAt >= asOf || exports.some(({ port }) => port === row.port)) continue
    const backup = await findBackup(DB.orm, row.jobId)
    if (backup && !isActive(backup.job.status) && !backup.job.cleanupPending) orphans.push(row.port)
  }
  await deletePorts(DB.orm, orphans)
}

/** @throws SERVICE_UNAVAILABLE when the agent does not answer: then nothing is decided */
export const reconcileJobs = async (env: EndEnv): Promise<void> => {
  const { DB, AGENT, CLOCK } = env
  // Jobs are read before exports: a job in this list had its exports before we asked for them.
  const asOf = CLOCK.now()
  const jobs = await activeBackups(DB.orm)
  const exports = await AGENT.listExports()
  const byName = new Map(exports.map((state) => [state.export_name, state]))
  for (const job of jobs) await reconcileActive(env, job, byName)
  for (const ended of await backupsToCleanUp(DB.orm)) await cleanUp(env, ended)
  for (const state of await AGENT.listExports()) await reconcileExport(env, state)
  await reconcilePorts(env, await AGENT.listExports(), asOf)
}
