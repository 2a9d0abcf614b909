/** Names the files of a backup's disk and of the chain below it, as the agent takes them. */
import type { DiskChain, DiskFile } from '../contract/agent.ts'
import type { Database, Executor } from '../db/database.ts'
import type { DiskRow, JobRow, JobWithDisks } from '../db/queries/backups.ts'
import { ancestry } from '../db/queries/chains.ts'
import { copiesOf } from '../db/queries/copies.ts'

export const diskFileOf = (job: JobRow, disk: DiskRow): DiskFile => ({
  repository_id: job.repositoryId,
  vm_backup_context_id: job.vmBackupContextId,
  disk_index: disk.diskIndex,
  base: disk.fileBase,
})

/** @param chain a backup and its ancestors, newest first */
export const diskChainOf = (chain: readonly JobWithDisks[], diskIndex: number): DiskChain => ({
  repository_id: chain[0]!.job.repositoryId,
  vm_backup_context_id: chain[0]!.job.vmBackupContextId,
  disk_index: diskIndex,
  bases: chain.flatMap(({ disks }) =>
    disks.filter((disk) => disk.diskIndex === diskIndex).map(({ fileBase }) => fileBase),
  ),
})

/** Whether the ancestors of a backup are all there, down to a full, and none is known to be damaged. */
export const isWhole = (chain: readonly JobWithDisks[]): boolean =>
  chain.at(-1)?.job.backupType === 'full' &&
  chain.every(({ job }) => job.status === 'completed' && job.verifyState !== 'damaged')

/** Repositories that hold copies of all of a chain. */
export const placesOfCopies = async (
  { DB }: { DB: Pick<Database, 'orm'> },
  chain: readonly JobWithDisks[],
): Promise<string[]> => {
  const members = chain.map(({ job }) => job.id)
  const copied = new Map<string, number>()
  for (const { repositoryId, status } of await copiesOf(DB.orm, members))
    if (status === 'completed') copied.set(repositoryId, (copied.get(repositoryId) ?? 0) + 1)
  return [...copied].filter(([, count]) => count === members.length).map(([repositoryId]) => repositoryId)
}

export const chainOf = (db: Executor, backup: JobWithDisks): Promise<JobWithDisks[]> => ancestry(db, backup)
