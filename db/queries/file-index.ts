/** Which restore points' files are known, and the points of a VM in their order. */
import { and, asc, desc, eq, inArray, isNull, max, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { fileIndex } from '../../contract/api/files.ts'
import type { Executor } from '../database.ts'
import { backupJobs, fileIndexes, fileVolumes, vmBackupContexts } from '../schema/index.ts'

export type FileIndexRow = typeof fileIndexes.$inferSelect

/** One that has failed waits again; any other stays as it is, but for digests that were not asked for before. */
export const queueIndex = (
  db: Executor,
  values: Pick<FileIndexRow, 'backupJobId' | 'vmBackupContextId' | 'pointAt' | 'digests' | 'createdAt'>,
) =>
  db
    .insert(fileIndexes)
    .values(values)
    .onDuplicateKeyUpdate({
      set: {
        status: sql`IF(${fileIndexes.status} = 'failed', 'pending', ${fileIndexes.status})`,
        digests: sql`IF(${fileIndexes.digests} = 'none', VALUES(${sql.identifier('digests')}), ${fileIndexes.digests})`,
      },
    })

export const toFileIndex = (row: FileIndexRow): z.infer<typeof fileIndex> => ({
  backup_id: row.backupJobId,
  status: row.status,
  entry_count: row.entryCount,
  digests: row.digests,
  started_at: row.startedAt?.toISOString() ?? null,
  ended_at: row.endedAt?.toISOString() ?? null,
  error_message: row.errorMessage,
})

export const findIndex = async (db: Executor, backupId: string): Promise<FileIndexRow | undefined> =>
  (await db.select().from(fileIndexes).where(eq(fileIndexes.backupJobId, backupId)))[0]

/** The one that was begun and not ended, else the one that has waited the longest. */
export const nextIndex = async (db: Executor): Promise<FileIndexRow | undefined> =>
  (
    await db
      .select()
      .from(fileIndexes)
      .where(inArray(fileIndexes.status, ['pending', 'running']))
      .orderBy(desc(fileIndexes.status), asc(fileIndexes.createdAt), asc(fileIndexes.backupJobId))
      .limit(1)
  )[0]
/** An indexed point whose files' contents are still to be read. */
export const nextDigests = async (db: Executor): Promise<FileIndexRow | undefined> =>
  (
    await db
      .select()
      .from(fileIndexes)
      .where(and(eq(fileIndexes.digests, 'pending'), eq(fileIndexes.status, 'completed')))
      .orderBy(asc(fileIndexes.createdAt), asc(fileIndexes.backupJobId))
      .limit(1)
  )[0]
export const updateIndex = (db: Executor, backupId: string, change: Partial<typeof fileIndexes.$inferInsert>) =>
  db.update(fileIndexes).set(change).where(eq(fileIndexes.backupJobId, backupId))

export type IndexedPoint = Pick<FileIndexRow, 'backupJobId' | 'vmBackupContextId' | 'pointAt'>
const isIndexed = (contextIds: string[]) =>
  and(
    inArray(fileIndexes.vmBackupContextId, contextIds),
    eq(fileIndexes.status, 'completed'),
    eq(backupJobs.status, 'completed'),
    isNull(backupJobs.mergingInto),
  )
/** Indexed points that are restore points, the newest first. */
export const indexedPoints = (db: Executor, contextIds: string[]): Promise<IndexedPoint[]> =>
  contextIds.length === 0
    ? Promise.resolve([])
    : db
        .select({
          backupJobId: fileIndexes.backupJobId,
          vmBackupContextId: fileIndexes.vmBackupContextId,
          pointAt: fileIndexes.pointAt,
        })
        .from(fileIndexes)
        .innerJoin(backupJobs, eq(backupJobs.id, fileIndexes.backupJobId))
        .where(isIndexed(contextIds))
        .orderBy(desc(fileIndexes.pointAt))

/** By the VM's folder: when the newest of them was completed. */
export const newestIndexed = async (db: Executor, contextIds: string[]): Promise<Map<string, number>> => {
  if (contextIds.length === 0) return new Map()
  const rows = await db
    .select({ contextId: fileIndexes.vmBackupContextId, at: max(fileIndexes.pointAt) })
    .from(fileIndexes)
    .innerJoin(backupJobs, eq(backupJobs.id, fileIndexes.backupJobId))
    .where(isIndexed(contextIds))
    .groupBy(fileIndexes.vmBackupContextId)
  return new Map(rows.map(({ contextId, at }) => [contextId, at!]))
}

export const contextsOfVm = async (db: Executor, vmName: string): Promise<string[]> =>
  (
    await db
      .select({ id: vmBackupContexts.contextId })
      .from(vmBackupContexts)
      .where(eq(vmBackupContexts.vmName, vmName))
  ).map(({ id }) => id)

/** @returns its number, made when it is new */
export const ensureVolume = async (db: Executor, vmBackupContextId: string, volume: string): Promise<number> => {
  await db.insert(fileVolumes).ignore().values({ vmBackupContextId, volume })
  const [row] = await db
    .select({ id: fileVolumes.id })
    .from(fileVolumes)
    .where(and(eq(fileVolumes.vmBackupContextId, vmBackupContextId), eq(fileVolumes.volume, volume)))
  return row!.id
}
