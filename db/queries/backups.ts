/** Backups: jobs, their disks, the contexts and chains they belong to. */
import { and, asc, count, desc, eq, inArray, isNotNull, isNull, type SQL, sql } from 'drizzle-orm'
import type { z } from 'zod'
import {
  activeStatuses,
  type Backup,
  type BackupStatus,
  type BackupType,
  type backupDisk,
} from '../../contract/api/backups.ts'
import type { Paging } from '../../contract/api/common.ts'
import { chainId, toGb } from '../../contract/names.ts'
import type { Executor } from '../database.ts'
import {
  backupChains,
  backupCopies,
  backupDisks,
  backupJobs,
  backupPolicies,
  backupRepositories,
  vmBackupContexts,
  vmReplicationContexts,
} from '../schema/index.ts'
import { iso } from './vms.ts'

export type JobRow = typeof backupJobs.$inferSelect
export type DiskRow = typeof backupDisks.$inferSelect
export type BackupContextRow = typeof vmBackupContexts.$inferSelect
/** A job with its disks, in disk order. */
export type JobWithDisks = { job: JobRow; disks: DiskRow[] }

const typeOf = (job: JobRow) => job.backupType as BackupType
const sum = (rows: DiskRow[], value: (row: DiskRow) => number) => rows.reduce((total, row) => total + value(row), 0)

export const toBackup = ({ job, disks }: JobWithDisks, repositoryName: string): Backup => {
  const single = disks.length === 1 ? disks[0] : undefined
  return {
    backup_id: job.id,
    vm_context_id: job.vmContextId,
    vm_backup_context_id: job.vmBackupContextId,
    vm_name: job.vmName,
    repository_id: job.repositoryId,
    repository_name: repositoryName,
    policy_id: job.policyId,
    parent_backup_id: job.parentBackupId,
    tags: job.tags ?? {},
    backup_type: typeOf(job),
    type: typeOf(job),
    status: job.status,
    current_phase: job.currentPhase,
    progress_percent: job.progressPercent,
    bytes_transferred: job.bytesTransferred,
    total_bytes: job.totalBytes,
    transfer_speed_bps: job.transferSpeedBps,
    eta_seconds: job.etaSeconds,
    last_telemetry_at: iso(job.lastTelemetryAt),
    error_message: job.errorMessage,
    disk_count: disks.length,
    disks_count: disks.length,
    total_size_gb: toGb(sum(disks, (disk) => disk.capacityBytes)),
    size_bytes: sum(disks, (disk) => disk.storedBytes),
    created_at: job.createdAt.toISOString(),
    started_at: iso(job.startedAt),
    completed_at: iso(job.completedAt),
    change_id: single?.diskChangeId ?? null,
    file_path: single?.qcow2Path ?? null,
  }
}

export const toBackupDisk = (row: DiskRow): z.infer<typeof backupDisk> => ({
  id: row.id,
  backup_disk_id: row.id,
  backup_job_id: row.backupJobId,
  disk_index: row.diskIndex,
  disk_id: row.diskIndex,
  vmware_disk_key: row.vmwareDiskKey,
  label: row.label,
  original_path: row.originalPath,
  status: row.status,
  size_gb: toGb(row.capacityBytes),
  size_bytes: row.capacityBytes,
  stored_bytes: row.storedBytes,
  qcow2_path: row.qcow2Path,
  bytes_transferred: row.bytesTransferred,
  total_bytes: row.totalBytes,
  progress_percent: row.progressPercent,
  change_id: row.diskChangeId,
  error_message: row.errorMessage,
  created_at: row.createdAt.toISOString(),
  completed_at: iso(row.completedAt),
})

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

const withDisks = async (db: Executor, jobs: JobRow[]): Promise<JobWithDisks[]> => {
  const disks = await disksOfBackups(
    db,
    jobs.map(({ id }) => id),
  )
  return jobs.map((job) => ({ job, disks: disks.get(job.id) ?? [] }))
}

const repositoryNames = async (db: Executor, ids: string[]): Promise<Map<string, string>> =>
  new Map(
    ids.length === 0
      ? []
      : (
          await db
            .select({ id: backupRepositories.id, name: backupRepositories.name })
            .from(backupRepositories)
            .where(inArray(backupRepositories.id, [...new Set(ids)]))
        ).map(({ id, name }) => [id, name]),
  )
/** Backups as answers show them. */
export const toBackups = async (db: Executor, rows: JobWithDisks[]): Promise<Backup[]> => {
  const names = await repositoryNames(
    db,
    rows.map(({ job }) => job.repositoryId),
  )
  return rows.map((row) => toBackup(row, names.get(row.job.repositoryId) ?? ''))
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
const newestFirst = [desc(backupJobs.createdAt), desc(backupJobs.id)]

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

export const findBackup = async (db: Executor, id: string): Promise<JobWithDisks | undefined> => {
  const [job] = await db.select().from(backupJobs).where(eq(backupJobs.id, id))
  return job && { job, disks: (await disksOfBackups(db, [job.id])).get(job.id) ?? [] }
}

/** The same, with the job's row locked until the transaction ends. */
export const lockBackup = async (tx: Executor, id: string): Promise<JobWithDisks | undefined> => {
  const [job] = await tx.select().from(backupJobs).where(eq(backupJobs.id, id)).for('update')
  return job && { job, disks: (await disksOfBackups(tx, [job.id])).get(job.id) ?? [] }
}

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

export const findBackupContext = async (
  db: Executor,
  vmName: string,
  vcenterHost: string,
  repositoryId: string,
): Promise<BackupContextRow | undefined> =>
  (
    await db
      .select()
      .from(vmBackupContexts)
      .where(
        and(
          eq(vmBackupContexts.vmName, vmName),
          eq(vmBackupContexts.vcenterHost, vcenterHost),
          eq(vmBackupContexts.repositoryId, repositoryId),
        ),
      )
  )[0]
export const findBackupContextById = async (db: Executor, contextId: string): Promise<BackupContextRow | undefined> =>
  (await db.select().from(vmBackupContexts).where(eq(vmBackupContexts.contextId, contextId)))[0]
export const backupContextIdTaken = async (db: Executor, contextId: string): Promise<boolean> =>
  (await findBackupContextById(db, contextId)) !== undefined
export const insertBackupContext = (db: Executor, values: typeof vmBackupContexts.$inferInsert) =>
  db.insert(vmBackupContexts).values(values)
/** A context that no backup uses goes; one that has a history stays. */
export const deleteUnusedContext = async (tx: Executor, contextId: string) => {
  const [used] = await tx
    .select({ id: backupJobs.id })
    .from(backupJobs)
    .where(eq(backupJobs.vmBackupContextId, contextId))
    .limit(1)
  const context = await findBackupContextById(tx, contextId)
  if (!used && context?.totalBackupsRun === 0)
    await tx.delete(vmBackupContexts).where(eq(vmBackupContexts.contextId, contextId))
}
export const contextIds = async (db: Executor): Promise<string[]> =>
  (await db.select({ id: vmBackupContexts.contextId }).from(vmBackupContexts)).map(({ id }) => id)

/** Counts the end of a job in its context. */
export const countEnded = (tx: Executor, job: JobRow, completedAt: Date | undefined) =>
  tx
    .update(vmBackupContexts)
    .set({
      totalBackupsRun: sql`${vmBackupContexts.totalBackupsRun} + 1`,
      ...(completedAt === undefined
        ? { failedBackups: sql`${vmBackupContexts.failedBackups} + 1` }
        : {
            successfulBackups: sql`${vmBackupContexts.successfulBackups} + 1`,
            lastBackupId: job.id,
            lastBackupType: typeOf(job),
            lastBackupAt: completedAt,
          }),
    })
    .where(eq(vmBackupContexts.contextId, job.vmBackupContextId))

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

export const copiesOf = (db: Executor, backupId: string) =>
  db.select().from(backupCopies).where(eq(backupCopies.sourceBackupId, backupId))

export const findPolicy = async (db: Executor, id: string) =>
  (await db.select().from(backupPolicies).where(eq(backupPolicies.id, id)))[0]

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

/** Contexts of a repository that holds no backups any more. */
export const deleteContextsOf = (tx: Executor, repositoryId: string) =>
  tx.delete(vmBackupContexts).where(eq(vmBackupContexts.repositoryId, repositoryId))
