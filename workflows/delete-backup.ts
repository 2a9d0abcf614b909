/**
 * Deletes a backup, with what builds on it when asked. First the rows say that they are no restore points any more, then the files go, then the
 * rows: whatever stops us, nobody takes what is half gone for whole, and reconcile or the same call finishes the work.
 */
import { isActive } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import { deleteBackupRow, findBackup, type JobRow, type JobWithDisks, updateBackup } from '../db/queries/backups.ts'
import { dependentsOf, refreshChains } from '../db/queries/chains.ts'
import { copiesOf, deleteCopy, findHeal } from '../db/queries/copies.ts'
import { mergingInto } from '../db/queries/merges.ts'
import { mountsOfBackups } from '../db/queries/mounts.ts'
import { findRepository } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { diskFileOf } from './chain-files.ts'
import { removeCopyFiles } from './copy-backups.ts'
import { endMount } from './end-mount.ts'
import { withChainLock } from './locks.ts'

type DeleteEnv = Env<'DB' | 'AGENT' | 'CLOCK'>
export type Deleted = { deletedIds: string[]; freedBytes: number }

const dayMs = 24 * 3600 * 1000

/** Until when a backup, or a copy that would go with it, can't be deleted; undefined when it can. */
const protectedUntil = async ({ DB, CLOCK }: DeleteEnv, job: JobRow): Promise<Date | undefined> => {
  const dates = (await copiesOf(DB.orm, [job.id])).map(({ lockedUntil }) => lockedUntil)
  dates.push(job.lockedUntil)
  const repository = await findRepository(DB.orm, job.repositoryId)
  if (repository?.isImmutable && job.status === 'completed' && job.completedAt !== null)
    dates.push(new Date(job.completedAt.getTime() + repository.minRetentionDays * dayMs))
  const latest = Math.max(0, ...dates.map((date) => date?.getTime() ?? 0))
  return latest > CLOCK.now().getTime() ? new Date(latest) : undefined
}

/** Everything that can forbid it, for the whole set, before anything is touched. */
const check = async (env: DeleteEnv, jobs: JobRow[]) => {
  for (const job of jobs) {
    if (isActive(job.status))
      throw new HubError('BACKUP_RUNNING', 'The backup is running', {
        details: 'cancel it first',
        extra: { backup_id: job.id },
      })
    if (job.isProtected)
      throw new HubError('BACKUP_PROTECTED', 'The backup is protected', {
        details: 'end its protection first',
        extra: { backup_id: job.id },
      })
    const until = await protectedUntil(env, job)
    if (until)
      throw new HubError('IMMUTABLE_RETENTION_ACTIVE', 'The backup is protected by its repository', {
        details: `${job.id} until ${until.toISOString()}`,
        extra: { retention_expires_at: until.toISOString() },
      })
    // Healing writes into the backup's own files, and into those that it builds on.
    const isHealing = (await findHeal(env.DB.orm, job.id)) !== undefined
    const isCopied = (await copiesOf(env.DB.orm, [job.id])).some(
      ({ status }) => status === 'copying' || status === 'verifying',
    )
    if (isCopied || isHealing)
      throw new HubError('COPY_RUNNING', 'The backup is being copied', { extra: { backup_id: job.id } })
  }
}

/** The phase of a backup whose deletion has begun. */
export const deletingPhase = 'deleting'

/** All at once: a chain is never half usable. */
const markDeleting = ({ DB }: DeleteEnv, jobs: JobRow[]) =>
  DB.transaction(async (tx) => {
    for (const { id } of jobs)
      await updateBackup(tx, id, {
        status: 'failed',
        currentPhase: deletingPhase,
        errorMessage: 'is being deleted',
        cleanupPending: true,
      })
    await refreshChains(tx, jobs[0]!.vmBackupContextId)
  })

/** Frees the mounts, files and row of a backup that is marked. Can be repeated. @returns freed bytes */
export const deleteMarked = async (env: DeleteEnv, { job, disks }: JobWithDisks): Promise<number> => {
  const { DB, AGENT } = env
  for (const mount of await mountsOfBackups(DB.orm, [job.id])) await endMount(env, mount, 'backup_deleted')
  let freed = 0
  try {
    for (const copy of await copiesOf(DB.orm, [job.id])) {
      freed += await removeCopyFiles(env, copy, { job, disks })
      await deleteCopy(DB.orm, copy.id)
    }
    for (const disk of disks) freed += (await AGENT.deleteDiskFile(diskFileOf(job, disk))).freed_bytes
  } catch (cause) {
    // Its agent knows a lock that we do not.
    if (cause instanceof HubError && cause.code === 'IMMUTABLE_RETENTION_ACTIVE') throw cause
    throw new HubError('INTERNAL', 'A file of the backup could not be removed', {
      details: 'the same call again goes on',
      cause,
    })
  }
  await DB.transaction(async (tx) => {
    await deleteBackupRow(tx, job.id)
    await refreshChains(tx, job.vmBackupContextId)
  })
  return freed
}

/**
 * @param cascade also deletes what builds on it, newest first
 * @throws BACKUP_NOT_FOUND, HAS_DEPENDENTS, BACKUP_RUNNING, BACKUP_PROTECTED, IMMUTABLE_RETENTION_ACTIVE, COPY_RUNNING
 */
export const deleteBackup = async (env: DeleteEnv, backupId: string, cascade: boolean): Promise<Deleted> => {
  const { DB } = env
  const notFound = () =>
    new HubError('BACKUP_NOT_FOUND', 'Backup not found', { details: `no backup ${backupId}`.slice(0, 200) })
  const found = await findBackup(DB.orm, backupId)
  if (!found) throw notFound()
  return withChainLock(DB, found.job.vmBackupContextId, async () => {
    const target = await findBackup(DB.orm, backupId)
    if (!target) throw notFound()
    const dependents = await dependentsOf(DB.orm, target.job)
    if (dependents.length > 0 && !cascade)
      throw new HubError('HAS_DEPENDENTS', 'Other backups build on this one', {
        details: 'delete them first, or use cascade',
        extra: {
          dependents: dependents.map(({ id, backupType, createdAt }) => ({
            backup_id: id,
            backup_type: backupType,
            created_at: createdAt.toISOString(),
          })),
        },
      })
    const jobs = [...dependents, target.job]
    // What is being merged into one of them is no restore point without it.
    for (let going = jobs; going.length > 0; jobs.push(...going)) {
      const ids = new Set(jobs.map(({ id }) => id))
      going = (await mergingInto(DB.orm, [...ids])).filter(({ id }) => !ids.has(id))
    }
    await check(env, jobs)
    await markDeleting(env, jobs)

    const deleted: Deleted = { deletedIds: [], freedBytes: 0 }
    for (const { id } of jobs) {
      const backup = await findBackup(DB.orm, id)
      if (backup) deleted.freedBytes += await deleteMarked(env, backup)
      deleted.deletedIds.push(id)
    }
    return deleted
  })
}
