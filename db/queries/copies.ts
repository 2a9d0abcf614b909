/** Copies of backups in other repositories, and what is to be healed from them. */
import { and, asc, desc, eq, inArray, isNull, ne, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { copy, heal } from '../../contract/api/copies.ts'
import type { Executor } from '../database.ts'
import {
  backupCopies,
  backupCopyRules,
  backupHeals,
  backupJobs,
  backupPolicies,
  backupRepositories,
} from '../schema/index.ts'
import { iso } from './vms.ts'

export type CopyRow = typeof backupCopies.$inferSelect
export type HealRow = typeof backupHeals.$inferSelect

const percentOf = ({ doneBytes, totalBytes }: { doneBytes: number; totalBytes: number }) =>
  totalBytes > 0 ? Math.min(100, Math.round((doneBytes / totalBytes) * 10_000) / 100) : 0

const toCopy = (row: CopyRow, repositoryName: string): z.infer<typeof copy> => ({
  id: row.id,
  source_backup_id: row.sourceBackupId,
  repository_id: row.repositoryId,
  repository_name: repositoryName,
  copy_rule_id: row.copyRuleId,
  status: row.status,
  file_path: row.filePath ?? '',
  size_bytes: row.sizeBytes,
  progress_percent: row.status === 'completed' || row.status === 'verifying' ? 100 : percentOf(row),
  bytes_copied: row.doneBytes,
  total_bytes: row.totalBytes,
  copy_started_at: iso(row.copyStartedAt),
  copy_completed_at: iso(row.copyCompletedAt),
  verified_at: iso(row.verifiedAt),
  verification_status: row.verificationStatus,
  error_message: row.errorMessage,
  created_at: row.createdAt.toISOString(),
})

/** Newest first. */
export const showCopies = async (db: Executor, backupId: string): Promise<z.infer<typeof copy>[]> =>
  (
    await db
      .select({ row: backupCopies, name: backupRepositories.name })
      .from(backupCopies)
      .innerJoin(backupRepositories, eq(backupRepositories.id, backupCopies.repositoryId))
      .where(eq(backupCopies.sourceBackupId, backupId))
      .orderBy(desc(backupCopies.createdAt), desc(backupCopies.id))
  ).map(({ row, name }) => toCopy(row, name))

export const copiesOf = (db: Executor, backupIds: string[]): Promise<CopyRow[]> =>
  backupIds.length === 0
    ? Promise.resolve([])
    : db
        .select()
        .from(backupCopies)
        .where(inArray(backupCopies.sourceBackupId, backupIds))
        .orderBy(asc(backupCopies.createdAt), asc(backupCopies.id))
export const allCopies = (db: Executor): Promise<CopyRow[]> => db.select().from(backupCopies)
export const findCopy = async (db: Executor, backupId: string, repositoryId: string): Promise<CopyRow | undefined> =>
  (
    await db
      .select()
      .from(backupCopies)
      .where(and(eq(backupCopies.sourceBackupId, backupId), eq(backupCopies.repositoryId, repositoryId)))
  )[0]

export const findCopyById = async (db: Executor, id: string): Promise<CopyRow | undefined> =>
  (await db.select().from(backupCopies).where(eq(backupCopies.id, id)))[0]

/** Puts a copy in the queue; one that failed is replaced, any other stays as it is. */
export const queueCopy = async (
  tx: Executor,
  values: Pick<CopyRow, 'id' | 'sourceBackupId' | 'repositoryId' | 'copyRuleId' | 'verifyAfterCopy' | 'createdAt'>,
): Promise<void> => {
  await tx.insert(backupCopies).ignore().values(values)
  await tx
    .update(backupCopies)
    .set({ ...values, status: 'pending', verificationStatus: 'pending', errorMessage: null, doneBytes: 0 })
    .where(
      and(
        eq(backupCopies.sourceBackupId, values.sourceBackupId),
        eq(backupCopies.repositoryId, values.repositoryId),
        eq(backupCopies.status, 'failed'),
      ),
    )
}
export const updateCopy = (db: Executor, id: string, change: Partial<typeof backupCopies.$inferInsert>) =>
  db.update(backupCopies).set(change).where(eq(backupCopies.id, id))
export const deleteCopy = (db: Executor, id: string) => db.delete(backupCopies).where(eq(backupCopies.id, id))

/** Copies that are to be made: those that have begun, then by the priority of their rule, then parents before what builds on them. */
export const openCopies = async (db: Executor): Promise<CopyRow[]> =>
  (
    await db
      .select({ row: backupCopies })
      .from(backupCopies)
      .innerJoin(backupJobs, eq(backupJobs.id, backupCopies.sourceBackupId))
      .leftJoin(backupCopyRules, eq(backupCopyRules.id, backupCopies.copyRuleId))
      .where(inArray(backupCopies.status, ['pending', 'copying', 'verifying']))
      .orderBy(
        sql`${backupCopies.status} = 'pending'`,
        sql`coalesce(${backupCopyRules.priority}, 0)`,
        asc(backupJobs.createdAt),
        asc(backupCopies.id),
      )
  ).map(({ row }) => row)

/** Completed backups under an enabled rule of these kinds that have no copy where it says, or a failed one; oldest first. */
export const missingCopies = async (db: Executor, modes: ('immediate' | 'scheduled')[]) =>
  db
    .select({
      backupId: backupJobs.id,
      ruleId: backupCopyRules.id,
      repositoryId: backupCopyRules.destinationRepositoryId,
      verifyAfterCopy: backupCopyRules.verifyAfterCopy,
    })
    .from(backupJobs)
    .innerJoin(backupPolicies, and(eq(backupPolicies.id, backupJobs.policyId), eq(backupPolicies.enabled, true)))
    .innerJoin(
      backupCopyRules,
      and(
        eq(backupCopyRules.policyId, backupPolicies.id),
        eq(backupCopyRules.enabled, true),
        inArray(backupCopyRules.copyMode, modes),
        ne(backupCopyRules.destinationRepositoryId, backupJobs.repositoryId),
      ),
    )
    .leftJoin(
      backupCopies,
      and(
        eq(backupCopies.sourceBackupId, backupJobs.id),
        eq(backupCopies.repositoryId, backupCopyRules.destinationRepositoryId),
      ),
    )
    .where(
      and(
        eq(backupJobs.status, 'completed'),
        isNull(backupJobs.mergingInto),
        or(isNull(backupCopies.id), eq(backupCopies.status, 'failed')),
      ),
    )
    .orderBy(asc(backupCopyRules.priority), asc(backupJobs.createdAt))

export const toHeal = (row: HealRow | undefined): z.infer<typeof heal> | null =>
  row
    ? {
        repository_id: row.repositoryId,
        progress_percent: percentOf(row),
        bytes_copied: row.doneBytes,
        total_bytes: row.totalBytes,
        error_message: row.errorMessage,
        created_at: row.createdAt.toISOString(),
      }
    : null
/** One that waits already stays as it is. */
export const queueHeal = (db: Executor, values: Pick<HealRow, 'backupJobId' | 'repositoryId' | 'createdAt'>) =>
  db.insert(backupHeals).ignore().values(values)
export const openHeals = (db: Executor): Promise<HealRow[]> =>
  db.select().from(backupHeals).orderBy(asc(backupHeals.createdAt))
export const findHeal = async (db: Executor, backupId: string): Promise<HealRow | undefined> =>
  (await db.select().from(backupHeals).where(eq(backupHeals.backupJobId, backupId)))[0]
export const updateHeal = (db: Executor, backupId: string, change: Partial<typeof backupHeals.$inferInsert>) =>
  db.update(backupHeals).set(change).where(eq(backupHeals.backupJobId, backupId))
export const deleteHeal = (db: Executor, backupId: string) =>
  db.delete(backupHeals).where(eq(backupHeals.backupJobId, backupId))

/** Forgets all copies in a repository that nobody is working on. @returns how many stay, for somebody is */
export const forgetCopiesIn = async (db: Executor, repositoryId: string): Promise<number> => {
  const there = eq(backupCopies.repositoryId, repositoryId)
  await db.delete(backupCopies).where(and(there, inArray(backupCopies.status, ['pending', 'completed', 'failed'])))
  return db.$count(backupCopies, there)
}
