/** Backups: jobs and their disks. */
import { and, asc, count, desc, eq, inArray, isNotNull, isNull, type SQL, sql } from 'drizzle-orm'
import { activeStatuses, type BackupStatus, type BackupType } from '../../contract/api/backups.ts'
import type { Paging } from '../../contract/api/common.ts'
import type { Executor } from '../database.ts'
import { prepared } from '../prepared.ts'
import { backupDisks, backupJobs, vmReplicationContexts } from '../schema/index.ts'

export type JobRow = typeof backupJobs.$inferSelect

export type DiskRow = typeof backupDisks.$inferSelect

/** A job with its disks, in disk order. */
export type JobWithDisks = { job: JobRow; disks: DiskRow[] }

export const typeOf = (job: JobRow) => job.backupType as BackupType

export const sum = (rows: DiskRow[], value: (row: DiskRow) => number) =>
  rows.reduce((total, row) => total + value(row), 0)

export const disksOfBackups = async (db: Executor, ids: string[]): Promise<Map<string, DiskRow[]>> => {
  const disks = new Map<string, DiskRow[]>(ids.map((id) => [id, []]))
  if (ids.length === 0) return disks
  for (const row of await db
    .select()
    .from(backupDisks)
    .where(inArray(backupDisks.backupJobId, ids))
    .orderBy(asc(backupDisks.diskIndex)))
    disks.get(row.backupJobId)?.push(row)
  return disks
}

export const withDisks = async (db: Executor, jobs: JobRow[]): Promise<JobWithDisks[]> => {
  const disks = await disksOfBackups(
    db,
    jobs.map(({ id }) => id),
  )
  return jobs.map((job) => ({ job, disks: disks.get(job.id) ?? [] }))
}

export type BackupFilter = {
  vmName?: string | undefined
  /** Either kind of context id. */
  vmContextId?: string | undefined
  repositoryId?: string | undefined
  type?: BackupType | undefined
  status?: BackupStatus | undefined
}

const whereOf = (filter: BackupFilter): SQL | undefined => {
  const { vmName, vmContextId, repositoryId, type, status } = filter
  return and(
    // Binary: names that differ in case are different VMs.
    vmName === undefined ? undefined : and(eq(backupJobs.vmName, vmName), sql`binary ${backupJobs.vmName} = ${vmName}`),
    vmContextId === undefined
      ? undefined
      : vmContextId.startsWith('ctx-backup-')
        ? eq(backupJobs.vmBackupContextId, vmContextId)
        : eq(backupJobs.vmContextId, vmContextId),
    repositoryId === undefined ? undefined : eq(backupJobs.repositoryId, repositoryId),
    type === undefined ? undefined : eq(backupJobs.backupType, type),
    status === undefined ? undefined : eq(backupJobs.status, status),
  )
}

export const newestFirst = [desc(backupJobs.createdAt), desc(backupJobs.id)]

export const listBackups = async (
  db: Executor,
  filter: BackupFilter,
  { limit = 500, offset = 0 }: Paging,
): Promise<{ rows: JobWithDisks[]; total: number }> => {
  const where = whereOf(filter)
  const [[counted], jobs] = await Promise.all([
    db.select({ total: count() }).from(backupJobs).where(where),
    db
      .select()
      .from(backupJobs)
      .where(where)
      .orderBy(...newestFirst)
      .limit(limit)
      .offset(offset),
  ])
  return { rows: await withDisks(db, jobs), total: counted?.total ?? 0 }
}

/** Every backup there is, in two queries. */
export const allBackups = async (db: Executor): Promise<JobWithDisks[]> => {
  const byJob = new Map<string, DiskRow[]>()
  for (const disk of await db.select().from(backupDisks).orderBy(backupDisks.backupJobId, backupDisks.diskIndex))
    byJob.set(disk.backupJobId, [...(byJob.get(disk.backupJobId) ?? []), disk])
  return (await db.select().from(backupJobs)).map((job) => ({ job, disks: byJob.get(job.id) ?? [] }))
}

export const vmHasBackups = async (db: Executor, vmName: string): Promise<boolean> =>
  (await db.select({ id: backupJobs.id }).from(backupJobs).where(whereOf({ vmName })).limit(1)).length > 0

export const newestBackup = async (db: Executor, filter: BackupFilter): Promise<JobRow | undefined> =>
  (
    await db
      .select()
      .from(backupJobs)
      .where(whereOf(filter))
      .orderBy(...newestFirst)
      .limit(1)
  )[0]

const backupById = prepared((db) =>
  db
    .select({ job: backupJobs, disk: backupDisks })
    .from(backupJobs)
    .leftJoin(backupDisks, eq(backupDisks.backupJobId, backupJobs.id))
    .where(eq(backupJobs.id, sql.placeholder('id')))
    .orderBy(asc(backupDisks.diskIndex))
    .prepare(),
)
export const findBackup = async (db: Executor, id: string): Promise<JobWithDisks | undefined> => {
  const rows = await backupById(db).execute({ id })
  return rows[0] && { job: rows[0].job, disks: rows.flatMap(({ disk }) => disk ?? []) }
}
const stateById = prepared((db) =>
  db
    .select({ status: backupJobs.status, completedAt: backupJobs.completedAt })
    .from(backupJobs)
    .where(eq(backupJobs.id, sql.placeholder('id')))
    .prepare(),
)
/** How far a backup is, without all else that is known of it. */
export const stateOfBackup = async (
  db: Executor,
  id: string,
): Promise<Pick<JobRow, 'status' | 'completedAt'> | undefined> => (await stateById(db).execute({ id }))[0]
const contextById = prepared((db) =>
  db
    .select({ contextId: backupJobs.vmBackupContextId })
    .from(backupJobs)
    .where(eq(backupJobs.id, sql.placeholder('id')))
    .prepare(),
)
/** What a backup belongs to, which never changes. */
export const contextOfBackup = async (db: Executor, id: string): Promise<string | undefined> =>
  (await contextById(db).execute({ id }))[0]?.contextId

/** The same, with the job's row locked until the transaction ends. */
export const lockBackup = async (tx: Executor, id: string): Promise<JobWithDisks | undefined> => {
  const [job] = await tx.select().from(backupJobs).where(eq(backupJobs.id, id)).for('update')
  return job && { job, disks: (await disksOfBackups(tx, [job.id])).get(job.id) ?? [] }
}

/** Of a context, newest first: what completed or failed. */
export const newestEnded = (db: Executor, vmBackupContextId: string, limit: number): Promise<JobRow[]> =>
  db
    .select()
    .from(backupJobs)
    .where(
      and(eq(backupJobs.vmBackupContextId, vmBackupContextId), inArray(backupJobs.status, ['completed', 'failed'])),
    )
    .orderBy(...newestFirst)
    .limit(limit)

/** The backup and disk whose file has this name, without its suffix; the newest of several. */
export const findByDiskFile = async (
  db: Executor,
  base: string,
): Promise<{ jobId: string; diskIndex: number } | undefined> =>
  (
    await db
      .select({ jobId: backupDisks.backupJobId, diskIndex: backupDisks.diskIndex })
      .from(backupDisks)
      .where(eq(backupDisks.fileBase, base))
      .orderBy(desc(backupDisks.id))
      .limit(1)
  )[0]

export const activeBackups = async (db: Executor): Promise<JobWithDisks[]> =>
  withDisks(
    db,
    await db
      .select()
      .from(backupJobs)
      .where(inArray(backupJobs.status, [...activeStatuses])),
  )

export const activeBackupIn = async (db: Executor, vmBackupContextId: string): Promise<JobRow | undefined> =>
  (await db.select().from(backupJobs).where(eq(backupJobs.activeSlot, vmBackupContextId)))[0]

export const backupsToCleanUp = async (db: Executor): Promise<JobWithDisks[]> =>
  withDisks(db, await db.select().from(backupJobs).where(eq(backupJobs.cleanupPending, true)))

export const countActive = async (db: Executor): Promise<number> =>
  (
    await db
      .select({ jobs: count() })
      .from(backupJobs)
      .where(inArray(backupJobs.status, [...activeStatuses]))
  )[0]?.jobs ?? 0

export const backupIdTaken = async (db: Executor, id: string): Promise<boolean> =>
  (await db.select({ id: backupJobs.id }).from(backupJobs).where(eq(backupJobs.id, id))).length > 0

export const insertBackup = async (
  tx: Executor,
  job: typeof backupJobs.$inferInsert,
  disks: (typeof backupDisks.$inferInsert)[],
) => {
  await tx.insert(backupJobs).values(job)
  await tx.insert(backupDisks).values(disks)
}

export const updateBackup = (db: Executor, id: string, change: Partial<typeof backupJobs.$inferInsert>) =>
  db.update(backupJobs).set(change).where(eq(backupJobs.id, id))

/** Only while the job is active. @returns whether it was */
export const updateActiveBackup = async (
  db: Executor,
  id: string,
  change: Partial<typeof backupJobs.$inferInsert>,
): Promise<boolean> => {
  const [result] = await db
    .update(backupJobs)
    .set(change)
    .where(and(eq(backupJobs.id, id), inArray(backupJobs.status, [...activeStatuses])))
  return result.affectedRows > 0
}

export const setStartedAt = (db: Executor, id: string, at: Date) =>
  db
    .update(backupJobs)
    .set({ startedAt: at })
    .where(and(eq(backupJobs.id, id), isNull(backupJobs.startedAt)))

export const updateBackupDisk = (db: Executor, id: number, change: Partial<typeof backupDisks.$inferInsert>) =>
  db.update(backupDisks).set(change).where(eq(backupDisks.id, id))

/** Ends the disks of a job that are not completed. */
export const endOpenDisks = (tx: Executor, jobId: string, status: 'failed' | 'cancelled') =>
  tx
    .update(backupDisks)
    .set({ status })
    .where(and(eq(backupDisks.backupJobId, jobId), inArray(backupDisks.status, ['pending', 'in_progress'])))

export const deleteBackupRow = (tx: Executor, id: string) => tx.delete(backupJobs).where(eq(backupJobs.id, id))

export const backupStats = async (db: Executor, vmName: string, repositoryId: string) => {
  const rows = await withDisks(
    db,
    await db
      .select()
      .from(backupJobs)
      .where(whereOf({ vmName, repositoryId, status: 'completed' })),
  )
  const last = rows.map(({ job }) => job.completedAt?.getTime() ?? 0).reduce((a, b) => Math.max(a, b), 0)
  return {
    backup_count: rows.length,
    total_size_bytes: sum(
      rows.flatMap(({ disks }) => disks),
      (disk) => disk.storedBytes,
    ),
    last_backup_at: last === 0 ? null : new Date(last).toISOString(),
  }
}

/** The newest completed backup of a VM's disk that has a change id. */
export const newestChangeId = async (
  db: Executor,
  vmName: string,
  diskIndex: number,
  repositoryId: string | undefined,
): Promise<{ job: JobRow; disk: DiskRow } | undefined> => {
  const [row] = await db
    .select({ job: backupJobs, disk: backupDisks })
    .from(backupJobs)
    .innerJoin(backupDisks, eq(backupDisks.backupJobId, backupJobs.id))
    .where(
      and(
        whereOf({ vmName, repositoryId, status: 'completed' }),
        eq(backupDisks.diskIndex, diskIndex),
        isNotNull(backupDisks.diskChangeId),
      ),
    )
    .orderBy(...newestFirst)
    .limit(1)
  return row
}

/** The managed VM that a backup is of; undefined when it is no longer managed. */
export const vmOfBackup = async (db: Executor, job: JobRow) =>
  job.vmContextId === null
    ? undefined
    : (await db.select().from(vmReplicationContexts).where(eq(vmReplicationContexts.contextId, job.vmContextId)))[0]
