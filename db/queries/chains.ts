/** Chains: which backup builds on which. */
import { and, asc, eq, isNotNull } from 'drizzle-orm'
import { chainId } from '../../contract/names.ts'
import type { Executor } from '../database.ts'
import { backupChains, backupJobs, vmBackupContexts } from '../schema/index.ts'
import { type JobRow, type JobWithDisks, newestFirst, sum, typeOf, withDisks } from './backups.ts'

/** The newest completed backup of a context: the only possible parent. */
export const newestCompleted = async (db: Executor, vmBackupContextId: string): Promise<JobWithDisks | undefined> => {
  const [job] = await db
    .select()
    .from(backupJobs)
    .where(and(eq(backupJobs.vmBackupContextId, vmBackupContextId), eq(backupJobs.status, 'completed')))
    .orderBy(...newestFirst)
    .limit(1)
  return job && (await withDisks(db, [job]))[0]
}

export const completedBackups = async (db: Executor, vmBackupContextId: string): Promise<JobWithDisks[]> =>
  withDisks(
    db,
    await db
      .select()
      .from(backupJobs)
      .where(and(eq(backupJobs.vmBackupContextId, vmBackupContextId), eq(backupJobs.status, 'completed')))
      .orderBy(asc(backupJobs.createdAt), asc(backupJobs.id)),
  )

/** Everything that builds on a backup, directly or not, newest first. */
export const dependentsOf = async (db: Executor, job: JobRow): Promise<JobRow[]> => {
  const siblings = await db
    .select()
    .from(backupJobs)
    .where(and(eq(backupJobs.vmBackupContextId, job.vmBackupContextId), isNotNull(backupJobs.parentBackupId)))
    .orderBy(...newestFirst)
  const wanted = new Set([job.id])
  // A backup is newer than its parent, so one pass from old to new finds all.
  for (const row of siblings.toReversed())
    if (wanted.has(row.parentBackupId!) && row.status !== 'failed' && row.status !== 'cancelled') wanted.add(row.id)
  wanted.delete(job.id)
  return siblings.filter(({ id }) => wanted.has(id))
}

/** A backup and its ancestors, newest first. */
export const ancestry = async (db: Executor, row: JobWithDisks): Promise<JobWithDisks[]> => {
  const chain = [row]
  if (row.job.parentBackupId === null) return chain
  const byId = new Map((await completedBackups(db, row.job.vmBackupContextId)).map((other) => [other.job.id, other]))
  for (
    let parent = byId.get(row.job.parentBackupId);
    parent;
    parent = parent.job.parentBackupId === null ? undefined : byId.get(parent.job.parentBackupId)
  )
    chain.push(parent)
  return chain
}

/** Rewrites the chains and the last backup of a context from the completed backups that are there. */
export const refreshChains = async (tx: Executor, vmBackupContextId: string) => {
  const completed = await completedBackups(tx, vmBackupContextId)
  const newest = completed.at(-1)
  const fullAt = completed.findLastIndex(({ job }) => job.backupType === 'full')
  const chain = fullAt === -1 ? [] : completed.slice(fullAt)
  await tx.delete(backupChains).where(eq(backupChains.vmContextId, vmBackupContextId))
  const disks = new Set(chain.flatMap((row) => row.disks.map(({ diskIndex }) => diskIndex)))
  for (const diskIndex of disks) {
    const members = chain.filter((row) => row.disks.some((disk) => disk.diskIndex === diskIndex))
    await tx.insert(backupChains).values({
      id: chainId(vmBackupContextId, diskIndex),
      vmContextId: vmBackupContextId,
      diskId: diskIndex,
      fullBackupId: chain[0]!.job.id,
      latestBackupId: members.at(-1)!.job.id,
      totalBackups: members.length,
      totalSizeBytes: sum(
        members.flatMap((row) => row.disks.filter((disk) => disk.diskIndex === diskIndex)),
        (disk) => disk.storedBytes,
      ),
    })
  }
  await tx
    .update(vmBackupContexts)
    .set({
      lastBackupId: newest?.job.id ?? null,
      lastBackupType: newest ? typeOf(newest.job) : null,
      lastBackupAt: newest?.job.completedAt ?? null,
    })
    .where(eq(vmBackupContexts.contextId, vmBackupContextId))
}
