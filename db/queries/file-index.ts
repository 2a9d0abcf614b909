/** Which restore points' files are known, the points of a VM in their order, and what is asked of the files. */
import { and, asc, desc, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { fileIndex } from '../../contract/api/files.ts'
import { nameHash } from '../../contract/index-slices.ts'
import type { Database, Executor } from '../database.ts'
import { backupJobs, fileIndexes, fileVolumes, vmBackupContexts } from '../schema/index.ts'
import { hashOfFolder } from './file-paths.ts'

export type FileIndexRow = typeof fileIndexes.$inferSelect
/** Of a version that the newest point has; greater than every time. */
export const stillThere = Number.MAX_SAFE_INTEGER

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
        .where(
          and(
            inArray(fileIndexes.vmBackupContextId, contextIds),
            eq(fileIndexes.status, 'completed'),
            eq(backupJobs.status, 'completed'),
            isNull(backupJobs.mergingInto),
          ),
        )
        .orderBy(desc(fileIndexes.pointAt))

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

export type VersionRow = {
  contextId: string
  vmName: string
  volume: string
  folder: string
  name: string
  kind: 'f' | 'd' | 'l' | 'o'
  size: number
  modified: number
  firstAt: number
  lastAt: number
  /** Where a policy asked for it. */
  sha256: Buffer | null
}
export const versionColumns = `c.context_id AS contextId, c.vm_name AS vmName, o.volume, f.path AS folder, v.name, v.kind, v.size, v.modified, v.first_at AS firstAt, v.last_at AS lastAt, d.sha256`
export const sameContent = (digest: string) =>
  ['folder_id', 'name_hash', 'size', 'modified'].map((column) => `v.${column} = ${digest}.${column}`).join(' AND ')
export const versionJoins = `JOIN file_folders f ON f.id = v.folder_id JOIN file_volumes o ON o.id = f.volume_id JOIN vm_backup_contexts c ON c.context_id = o.vm_backup_context_id
  LEFT JOIN file_digests d ON ${sameContent('d')}`

export const rowsOf = async <Row>(
  { pool }: Pick<Database, 'pool'>,
  statement: string,
  values: unknown[],
): Promise<Row[]> => ((await pool.query(statement, values)) as unknown as [Row[]])[0]

/** Every version of one path, the newest first. */
export const versionsOf = (
  db: Pick<Database, 'pool'>,
  contextIds: readonly string[],
  { folder, name }: { folder: string; name: string },
  volume: string | undefined,
): Promise<VersionRow[]> =>
  contextIds.length === 0
    ? Promise.resolve([])
    : rowsOf(
        db,
        `SELECT ${versionColumns} FROM file_versions v ${versionJoins}
         WHERE o.vm_backup_context_id IN (?) AND f.path_hash = ? AND v.name_hash = ? AND v.name = ? ${volume === undefined ? '' : 'AND o.volume = ?'}
         ORDER BY v.first_at DESC LIMIT 10000`,
        [contextIds, hashOfFolder(folder), nameHash(name), name, ...(volume === undefined ? [] : [volume])],
      )

/** For LIKE: as it is, with nothing in it that stands for others. */
export const like = (text: string) => text.replace(/[\\%_]/g, '\\$&')

export type DifferenceRow = {
  volume: string
  folder: string
  name: string
  beforeKind: VersionRow['kind'] | null
  beforeSize: number | null
  beforeModified: number | null
  beforeSha256: Buffer | null
  afterKind: VersionRow['kind'] | null
  afterSize: number | null
  afterModified: number | null
  afterSha256: Buffer | null
}
/** Paths that differ between two points of one VM, in their order. @param below a folder, without a slash at its end; '' for all */
export const differences = async (
  { pool }: Pick<Database, 'pool'>,
  contextId: string,
  [from, to]: readonly [number, number],
  { below, limit, offset }: { below: string; limit: number; offset: number },
): Promise<DifferenceRow[]> => {
  const isIn = (point: string) => `(v.first_at <= ${point} AND v.last_at > ${point})`
  const side = (name: string, point: string) =>
    [...['kind', 'size', 'modified'].map((column) => ['v', column]), ['d', 'sha256']].map(
      ([table, column]) =>
        `MAX(IF(${isIn(point)}, ${table}.${column}, NULL)) AS ${name}${column![0]!.toUpperCase()}${column!.slice(1)}`,
    )
  // A file that was changed and then as before has two versions, and is no difference.
  const sql = `
    SELECT o.volume, f.path AS folder, v.name, ${[...side('before', ':from'), ...side('after', ':to')].join(', ')}
    FROM (SELECT DISTINCT c.folder_id, c.name_hash FROM file_volumes w JOIN file_changes c ON c.volume_id = w.id
          WHERE w.vm_backup_context_id = :contextId AND c.at > :least AND c.at <= :most) n
    JOIN file_versions v ON v.folder_id = n.folder_id AND v.name_hash = n.name_hash ${versionJoins}
    WHERE ${isIn(':from')} <> ${isIn(':to')} ${below === '' ? '' : 'AND (f.path = :below OR f.path LIKE :inside)'}
    GROUP BY v.folder_id, v.name_hash HAVING NOT (beforeKind <=> afterKind AND beforeSize <=> afterSize AND beforeModified <=> afterModified)
    ORDER BY o.volume, CONCAT(f.path, '/', v.name) LIMIT :limit OFFSET :offset`
  const values = { from, to, least: Math.min(from, to), most: Math.max(from, to), contextId, limit, offset, below }
  const [rows] = await pool.query({ sql, namedPlaceholders: true } as never, { ...values, inside: `${like(below)}/%` })
  return rows as unknown as DifferenceRow[]
}
