/** Checks of restore points: the queue, the run in front of it, and what it found. */
import { and, asc, eq, inArray, isNotNull, isNull, lt, or } from 'drizzle-orm'
import type { Damage } from '../../contract/agent.ts'
import type { Executor } from '../database.ts'
import { backupDisks, backupJobs, backupVerifications } from '../schema/index.ts'
import type { JobWithDisks } from './backups.ts'

export type VerificationRow = typeof backupVerifications.$inferSelect

/** One that waits or runs already stays as it is. */
export const queueVerification = (
  db: Executor,
  values: Pick<VerificationRow, 'backupJobId' | 'bytesPerSecond' | 'freshSince' | 'createdAt'>,
) => db.insert(backupVerifications).ignore().values(values)

export const findVerification = async (db: Executor, backupId: string): Promise<VerificationRow | undefined> =>
  (await db.select().from(backupVerifications).where(eq(backupVerifications.backupJobId, backupId)))[0]

/** The one that runs, else the one that has waited the longest. */
export const nextVerification = async (db: Executor): Promise<VerificationRow | undefined> =>
  (
    await db
      .select()
      .from(backupVerifications)
      .orderBy(isNull(backupVerifications.startedAt), asc(backupVerifications.createdAt))
      .limit(1)
  )[0]

/** Begins a run: what earlier runs left half-done in these files counts no more. */
export const beginVerification = async (tx: Executor, backupId: string, diskIds: number[], at: Date) => {
  await tx.update(backupDisks).set({ verifyPosition: 0, damages: null }).where(inArray(backupDisks.id, diskIds))
  await tx.update(backupVerifications).set({ startedAt: at }).where(eq(backupVerifications.backupJobId, backupId))
}
export const noteVerification = (
  db: Executor,
  backupId: string,
  progress: Pick<VerificationRow, 'doneBytes' | 'totalBytes' | 'speedBps'>,
) => db.update(backupVerifications).set(progress).where(eq(backupVerifications.backupJobId, backupId))
export const endVerification = (db: Executor, backupId: string) =>
  db.delete(backupVerifications).where(eq(backupVerifications.backupJobId, backupId))

export const noteDiskChecked = (
  db: Executor,
  diskId: number,
  change: { verifyPosition: number; damages: Damage[] | null; verifiedAt?: Date },
) => db.update(backupDisks).set(change).where(eq(backupDisks.id, diskId))

export const setVerifyState = (db: Executor, ids: string[], verifyState: 'verified' | 'damaged', verifiedAt: Date) =>
  ids.length === 0
    ? Promise.resolve()
    : db.update(backupJobs).set({ verifyState, verifiedAt }).where(inArray(backupJobs.id, ids))

/** The completed backup whose last check is the longest ago, if that is before `before`. */
export const longestUnverified = async (db: Executor, before: Date): Promise<string | undefined> =>
  (
    await db
      .select({ id: backupJobs.id })
      .from(backupJobs)
      .where(
        and(
          eq(backupJobs.status, 'completed'),
          isNull(backupJobs.mergingInto),
          isNotNull(backupJobs.completedAt),
          or(isNull(backupJobs.verifiedAt), lt(backupJobs.verifiedAt, before)),
        ),
      )
      .orderBy(asc(backupJobs.verifiedAt), asc(backupJobs.createdAt))
      .limit(1)
  )[0]?.id

/** What is known to be wrong with the files of a chain. */
export const damagesOf = (chain: readonly JobWithDisks[]) =>
  chain.flatMap(({ job, disks }) =>
    disks.flatMap(({ diskIndex, damages }) =>
      (damages ?? []).map((damage) => ({ backup_id: job.id, disk_index: diskIndex, ...damage })),
    ),
  )

/** Bytes of a check as answers show them, in the fields of a backup. */
export const toVerification = (row: VerificationRow | undefined) =>
  row
    ? {
        status: row.startedAt === null ? ('queued' as const) : ('running' as const),
        current_phase: 'verifying' as const,
        progress_percent:
          row.totalBytes > 0 ? Math.min(100, Math.round((row.doneBytes / row.totalBytes) * 10_000) / 100) : 0,
        bytes_transferred: row.doneBytes,
        total_bytes: row.totalBytes,
        transfer_speed_bps: row.speedBps,
        eta_seconds: row.speedBps > 0 ? Math.ceil((row.totalBytes - row.doneBytes) / row.speedBps) : null,
        created_at: row.createdAt.toISOString(),
        started_at: row.startedAt?.toISOString() ?? null,
      }
    : null
