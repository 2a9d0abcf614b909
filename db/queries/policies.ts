/** Backup policies and their copy rules. */
import { asc, eq, inArray, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { policy } from '../../contract/api/policies.ts'
import type { Executor } from '../database.ts'
import { backupCopyRules, backupJobs, backupPolicies } from '../schema/index.ts'

export type PolicyRow = typeof backupPolicies.$inferSelect
export type CopyRuleRow = typeof backupCopyRules.$inferSelect
type Policy = z.infer<typeof policy>

export const toPolicy = (row: PolicyRow, rules: CopyRuleRow[]): Policy => ({
  id: row.id,
  name: row.name,
  enabled: row.enabled,
  primary_repository_id: row.primaryRepositoryId,
  retention_days: row.retentionDays,
  keep: row.keep ?? null,
  index_files: row.indexFiles,
  index_digests: row.indexDigests,
  copy_rules: rules.map((rule) => ({
    id: rule.id,
    policy_id: rule.policyId,
    destination_repository_id: rule.destinationRepositoryId,
    copy_mode: rule.copyMode,
    priority: rule.priority,
    enabled: rule.enabled,
    verify_after_copy: rule.verifyAfterCopy,
    created_at: rule.createdAt.toISOString(),
  })),
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})

export const findPolicy = async (db: Executor, id: string): Promise<PolicyRow | undefined> =>
  (await db.select().from(backupPolicies).where(eq(backupPolicies.id, id)))[0]

/** By priority: the order in which copies are made. */
export const rulesOf = (db: Executor, policyIds: string[]): Promise<CopyRuleRow[]> =>
  db
    .select()
    .from(backupCopyRules)
    .where(inArray(backupCopyRules.policyId, policyIds))
    .orderBy(asc(backupCopyRules.priority), asc(backupCopyRules.createdAt), asc(backupCopyRules.id))

/** All policies with their rules, by name. */
export const showPolicies = async (db: Executor): Promise<Policy[]> => {
  const rows = await db.select().from(backupPolicies).orderBy(asc(backupPolicies.name))
  const ids = rows.map(({ id }) => id)
  const rules = ids.length === 0 ? [] : await rulesOf(db, ids)
  return rows.map((row) =>
    toPolicy(
      row,
      rules.filter(({ policyId }) => policyId === row.id),
    ),
  )
}

/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertPolicy = (db: Executor, values: typeof backupPolicies.$inferInsert) =>
  db.insert(backupPolicies).values(values)
export const updatePolicy = (db: Executor, id: string, change: Partial<typeof backupPolicies.$inferInsert>) =>
  db
    .update(backupPolicies)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(backupPolicies.id, id))
/** With its rules; backups and flows lose the link. */
export const deletePolicy = (db: Executor, id: string) => db.delete(backupPolicies).where(eq(backupPolicies.id, id))

export const replaceRules = async (
  tx: Executor,
  policyId: string,
  rules: (typeof backupCopyRules.$inferInsert)[],
): Promise<void> => {
  await tx.delete(backupCopyRules).where(eq(backupCopyRules.policyId, policyId))
  if (rules.length > 0) await tx.insert(backupCopyRules).values(rules)
}

/** Of VMs that have backups under a policy. */
export const contextsUnderPolicy = async (db: Executor, policyId: string): Promise<string[]> =>
  (
    await db
      .selectDistinct({ id: backupJobs.vmBackupContextId })
      .from(backupJobs)
      .where(eq(backupJobs.policyId, policyId))
      .orderBy(asc(backupJobs.vmBackupContextId))
  ).map(({ id }) => id)
