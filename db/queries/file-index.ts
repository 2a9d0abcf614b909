/** Which restore points' files are known, the points of a VM in their order, and what is asked of the files. */
import { and, asc, desc, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { fileIndex } from '../../contract/api/files.ts'
import type { Database, Executor } from '../database.ts'
import { backupJobs, fileIndexes, fileVolumes, vmBackupContexts } from '../schema/index.ts'

export type FileIndexRow = typeof fileIndexes.$inferSelect
/** Of a version that the newest point has; greater than every time. */
export const stillThere = Number.MAX_SAFE_INTEGER

/** One that has failed waits again; any other stays as it is. */
export const queueIndex = (
  db: Executor,
  values: Pick<FileIndexRow, 'backupJobId' | 'vmBackupContextId' | 'pointAt' | 'createdAt'>,
) =>
  db
    .insert(fileIndexes)
    .values(values)
    .onDuplicateKeyUpdate({
      set: { status: sql`IF(${fileIndexes.status} = 'failed', 'pending', ${fileIndexes.status})` },
    })

export const toFileIndex = (row: FileIndexRow): z.infer<typeof fileIndex> => ({
  backup_id: row.backupJobId,
  status: row.status,
  entry_count: row.entryCount,
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
  path: string
  kind: 'f' | 'd' | 'l' | 'o'
  size: number
  modified: number
  firstAt: number
  lastAt: number
}
const versionColumns = `c.context_id AS contextId, c.vm_name AS vmName, o.volume, v.path, v.kind, v.size, v.modified, v.first_at AS firstAt, v.last_at AS lastAt`
const joins = `JOIN file_volumes o ON o.id = v.volume_id JOIN vm_backup_contexts c ON c.context_id = o.vm_backup_context_id`

const rowsOf = async <Row>({ pool }: Pick<Database, 'pool'>, statement: string, values: unknown[]): Promise<Row[]> =>
  ((await pool.query(statement, values)) as unknown as [Row[]])[0]

export type Search = {
  /** In small letters; each begins a word of the name, and the first one is looked for. */
  words: readonly string[]
  vmName: string | undefined
  kind: 'f' | 'd' | undefined
  /** Whether versions are found that the newest point does not have. */
  withOld: boolean
  limit: number
  offset: number
}
const like = (text: string) => text.replace(/[\\%_]/g, '\\$&')

/** Versions of files whose names have such words. */
export const searchVersions = (db: Pick<Database, 'pool'>, search: Search): Promise<VersionRow[]> => {
  const [first, ...others] = search.words
  const also = others.map(() => 'AND EXISTS (SELECT 1 FROM file_words x WHERE x.name_id = w.name_id AND x.word LIKE ?)')
  const conditions = [
    ...also,
    ...(search.withOld ? [] : ['AND v.last_at = ?']),
    ...(search.vmName === undefined ? [] : ['AND c.vm_name = ?']),
    ...(search.kind === undefined ? [] : ['AND v.kind = ?']),
  ]
  return rowsOf(
    db,
    `SELECT DISTINCT ${versionColumns} FROM file_words w JOIN file_versions v ON v.name_id = w.name_id ${joins}
     WHERE w.word LIKE ? ${conditions.join(' ')} ORDER BY w.word, w.name_id, v.id LIMIT ? OFFSET ?`,
    [
      `${like(first!)}%`,
      ...others.map((word) => `${like(word)}%`),
      ...(search.withOld ? [] : [stillThere]),
      ...(search.vmName === undefined ? [] : [search.vmName]),
      ...(search.kind === undefined ? [] : [search.kind]),
      search.limit,
      search.offset,
    ],
  )
}

/** Every version of one path, the newest first. */
export const versionsOf = (
  db: Pick<Database, 'pool'>,
  contextIds: readonly string[],
  pathHash: Buffer,
  volume: string | undefined,
): Promise<VersionRow[]> =>
  contextIds.length === 0
    ? Promise.resolve([])
    : rowsOf(
        db,
        `SELECT ${versionColumns} FROM file_versions v ${joins}
         WHERE o.vm_backup_context_id IN (?) AND v.path_hash = ? ${volume === undefined ? '' : 'AND o.volume = ?'} ORDER BY v.first_at DESC LIMIT 10000`,
        [contextIds, pathHash, ...(volume === undefined ? [] : [volume])],
      )

export type DifferenceRow = {
  volume: string
  path: string
  beforeKind: VersionRow['kind'] | null
  beforeSize: number | null
  beforeModified: number | null
  afterKind: VersionRow['kind'] | null
  afterSize: number | null
  afterModified: number | null
}
/** Paths that differ between two points of one VM, in their order. @param below a path that they begin with */
export const differences = async (
  { pool }: Pick<Database, 'pool'>,
  contextId: string,
  [from, to]: readonly [number, number],
  { below, limit, offset }: { below: string; limit: number; offset: number },
): Promise<DifferenceRow[]> => {
  const isIn = (point: string) => `(v.first_at <= ${point} AND v.last_at > ${point})`
  const side = (name: string, point: string) =>
    ['kind', 'size', 'modified'].map(
      (column) => `MAX(IF(${isIn(point)}, v.${column}, NULL)) AS ${name}${column[0]!.toUpperCase()}${column.slice(1)}`,
    )
  const between = (column: string) => `(v.${column} > :least AND v.${column} <= :most)`
  const sql = `
    SELECT o.volume, v.path, ${[...side('before', ':from'), ...side('after', ':to')].join(', ')}
    FROM file_versions v JOIN file_volumes o ON o.id = v.volume_id
    WHERE o.vm_backup_context_id = :contextId AND v.path LIKE :below
      AND (${between('first_at')} OR ${between('last_at')}) AND ${isIn(':from')} <> ${isIn(':to')}
    GROUP BY v.volume_id, v.path_hash ORDER BY o.volume, v.path LIMIT :limit OFFSET :offset`
  const values = { from, to, least: Math.min(from, to), most: Math.max(from, to), contextId, limit, offset }
  const [rows] = await pool.query({ sql, namedPlaceholders: true } as never, { ...values, below: `${like(below)}%` })
  return rows as unknown as DifferenceRow[]
}
