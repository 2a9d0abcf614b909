/** What all backups of one VM in one repository share: their context, which outlives each of them. */
import { and, eq, sql } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { backupJobs, vmBackupContexts } from '../schema/index.ts'
import { type JobRow, typeOf } from './backups.ts'

export type BackupContextRow = typeof vmBackupContexts.$inferSelect

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

/** With a backup that is completed: retention has to look at its context. */
export const setRetentionDue = (tx: Executor, contextId: string) =>
  tx.update(vmBackupContexts).set({ retentionDue: true }).where(eq(vmBackupContexts.contextId, contextId))
/** Retention has looked, when `lastBackupId` was the newest: one that was completed meanwhile is still to be looked at. */
export const noteRetentionDone = (db: Executor, { contextId, lastBackupId }: BackupContextRow) =>
  db
    .update(vmBackupContexts)
    .set({ retentionDue: false })
    .where(and(eq(vmBackupContexts.contextId, contextId), sql`${vmBackupContexts.lastBackupId} <=> ${lastBackupId}`))
export const contextsDueForRetention = async (db: Executor): Promise<string[]> =>
  (
    await db
      .select({ id: vmBackupContexts.contextId })
      .from(vmBackupContexts)
      .where(eq(vmBackupContexts.retentionDue, true))
  ).map(({ id }) => id)

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

/** Contexts of a repository that holds no backups any more. */
export const deleteContextsOf = (tx: Executor, repositoryId: string) =>
  tx.delete(vmBackupContexts).where(eq(vmBackupContexts.repositoryId, repositoryId))
