/** How far a running backup is: asked and moved on by the hundred a second, so most of it is one statement whose SQL is built once. */
import { and, asc, eq, type SQL, sql } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { prepared } from '../prepared.ts'
import { backupDisks, backupJobs } from '../schema/index.ts'

const ofJob = {
  id: backupJobs.id,
  status: backupJobs.status,
  backupType: backupJobs.backupType,
  currentPhase: backupJobs.currentPhase,
  bytesTransferred: backupJobs.bytesTransferred,
  totalBytes: backupJobs.totalBytes,
  progressPercent: backupJobs.progressPercent,
  transferSpeedBps: backupJobs.transferSpeedBps,
  etaSeconds: backupJobs.etaSeconds,
  lastTelemetryAt: backupJobs.lastTelemetryAt,
  lastTelemetrySentAt: backupJobs.lastTelemetrySentAt,
  errorMessage: backupJobs.errorMessage,
  completedAt: backupJobs.completedAt,
}
const ofDisk = {
  id: backupDisks.id,
  diskIndex: backupDisks.diskIndex,
  status: backupDisks.status,
  bytesTransferred: backupDisks.bytesTransferred,
  totalBytes: backupDisks.totalBytes,
  progressPercent: backupDisks.progressPercent,
  capacityBytes: backupDisks.capacityBytes,
}
export type JobProgress = Pick<typeof backupJobs.$inferSelect, keyof typeof ofJob>
export type DiskProgress = Pick<typeof backupDisks.$inferSelect, keyof typeof ofDisk>
/** With the disks in their order. */
export type Progress = { job: JobProgress; disks: DiskProgress[] }

const progressById = prepared((db) =>
  db
    .select({ job: ofJob, disk: ofDisk })
    .from(backupJobs)
    .leftJoin(backupDisks, eq(backupDisks.backupJobId, backupJobs.id))
    .where(eq(backupJobs.id, sql.placeholder('id')))
    .orderBy(asc(backupDisks.diskIndex))
    .prepare(),
)
export const findProgress = async (db: Executor, id: string): Promise<Progress | undefined> => {
  const rows = await progressById(db).execute({ id })
  return rows[0] && { job: rows[0].job, disks: rows.flatMap(({ disk }) => disk ?? []) }
}

/** The same, with the job's row locked until the transaction ends. */
export const lockProgress = async (tx: Executor, id: string): Promise<Progress | undefined> => {
  const [job] = await tx.select(ofJob).from(backupJobs).where(eq(backupJobs.id, id)).for('update')
  if (!job) return undefined
  const disks = await tx
    .select(ofDisk)
    .from(backupDisks)
    .where(eq(backupDisks.backupJobId, id))
    .orderBy(asc(backupDisks.diskIndex))
  return { job, disks }
}

/** What a report moves on. */
const moving = [
  'status',
  'currentPhase',
  'bytesTransferred',
  'totalBytes',
  'progressPercent',
  'transferSpeedBps',
  'etaSeconds',
  'lastTelemetryAt',
  'lastTelemetrySentAt',
] as const
/** What no other report, and nobody who ends the job, may have changed meanwhile. */
const unchanged = ['status', 'currentPhase', 'bytesTransferred', 'progressPercent', 'lastTelemetrySentAt'] as const

/** A value that comes when the query is executed, as the column stores it. */
const later = (name: string, column: (typeof ofJob)[keyof typeof ofJob]): SQL => {
  // A column's own mapping takes no NULL.
  const encoder = {
    mapToDriverValue: (value: unknown) => (value === null ? null : column.mapToDriverValue(value as never)),
  }
  return sql`${sql.param(sql.placeholder(name), encoder)}`
}

const moveOn = prepared((db) =>
  db
    .update(backupJobs)
    .set(Object.fromEntries(moving.map((key) => [key, later(key, backupJobs[key])])))
    .where(
      and(
        eq(backupJobs.id, sql.placeholder('id')),
        // Equal, also where both are NULL; and said so that no other index than the primary key is taken, for who locks by another one meets those who
        // have locked the row.
        ...unchanged.map((key) => sql`(${backupJobs[key]} <=> ${later(`before ${key}`, backupJobs[key])}) is true`),
      ),
    )
    .prepare(),
)
/** @returns whether the job was as `before` says; nothing is changed else */
export const moveProgress = async (
  db: Executor,
  before: JobProgress,
  change: Partial<JobProgress>,
): Promise<boolean> => {
  const after = { ...before, ...change }
  const [result] = await moveOn(db).execute({
    id: before.id,
    ...Object.fromEntries(moving.map((key) => [key, after[key]])),
    ...Object.fromEntries(unchanged.map((key) => [`before ${key}`, before[key]])),
  })
  return result.affectedRows > 0
}
