/** Notification rules, and the messages that they gave rise to. */
import { and, asc, count, desc, eq, lt, lte, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Paging } from '../../contract/api/common.ts'
import type { delivery, notification } from '../../contract/api/notifications.ts'
import type { Executor } from '../database.ts'
import { notificationDeliveries, notificationRules } from '../schema/index.ts'
import { iso } from './vms.ts'

export type RuleRow = typeof notificationRules.$inferSelect
export type DeliveryRow = typeof notificationDeliveries.$inferSelect

export const toNotification = (row: RuleRow): z.infer<typeof notification> => ({
  id: row.id,
  name: row.name,
  enabled: row.enabled,
  type: row.type,
  config: { ...row.config },
  events: row.events,
  vm_names: row.vmNames,
  repository_ids: row.repositoryIds,
  secret_set: row.secretEncrypted !== '',
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})
export const toDelivery = (row: DeliveryRow): z.infer<typeof delivery> => ({
  id: row.id,
  event: row.message.event,
  text: row.message.text,
  status: row.status,
  attempts: row.attempts,
  last_error: row.lastError,
  next_attempt_at: row.status === 'pending' ? iso(row.nextAttemptAt) : null,
  created_at: row.createdAt.toISOString(),
  sent_at: iso(row.sentAt),
})

/** By name. */
export const listRules = (db: Executor): Promise<RuleRow[]> =>
  db.select().from(notificationRules).orderBy(asc(notificationRules.name))
export const findRule = async (db: Executor, id: string): Promise<RuleRow | undefined> =>
  (await db.select().from(notificationRules).where(eq(notificationRules.id, id)))[0]
/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertRule = (db: Executor, values: typeof notificationRules.$inferInsert) =>
  db.insert(notificationRules).values(values)
export const updateRule = (db: Executor, id: string, change: Partial<typeof notificationRules.$inferInsert>) =>
  db
    .update(notificationRules)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(notificationRules.id, id))
export const deleteRule = (db: Executor, id: string) => db.delete(notificationRules).where(eq(notificationRules.id, id))

export const insertDeliveries = async (
  tx: Executor,
  values: (typeof notificationDeliveries.$inferInsert)[],
): Promise<void> => {
  if (values.length > 0) await tx.insert(notificationDeliveries).values(values)
}
/** Newest first. */
export const deliveriesOf = async (db: Executor, ruleId: string, { limit = 100, offset = 0 }: Paging) => {
  const where = eq(notificationDeliveries.ruleId, ruleId)
  const rows = await db
    .select()
    .from(notificationDeliveries)
    .where(where)
    .orderBy(desc(notificationDeliveries.createdAt), desc(notificationDeliveries.id))
    .limit(limit)
    .offset(offset)
  const [counted] = await db.select({ total: count() }).from(notificationDeliveries).where(where)
  return { rows, total: counted?.total ?? 0 }
}
export const dueDeliveries = (db: Executor, now: Date, max: number): Promise<DeliveryRow[]> =>
  db
    .select()
    .from(notificationDeliveries)
    .where(and(eq(notificationDeliveries.status, 'pending'), lte(notificationDeliveries.nextAttemptAt, now)))
    .orderBy(asc(notificationDeliveries.nextAttemptAt), asc(notificationDeliveries.createdAt))
    .limit(max)
/** Takes one for a try. @returns false when somebody else has */
export const claimDelivery = async (db: Executor, row: DeliveryRow, until: Date): Promise<boolean> => {
  const [result] = await db
    .update(notificationDeliveries)
    .set({ nextAttemptAt: until, attempts: row.attempts + 1 })
    .where(
      and(
        eq(notificationDeliveries.id, row.id),
        eq(notificationDeliveries.status, 'pending'),
        eq(notificationDeliveries.attempts, row.attempts),
      ),
    )
  return result.affectedRows === 1
}
export const updateDelivery = (db: Executor, id: string, change: Partial<typeof notificationDeliveries.$inferInsert>) =>
  db.update(notificationDeliveries).set(change).where(eq(notificationDeliveries.id, id))
/** What has ended before. */
export const deleteOldDeliveries = (db: Executor, before: Date) =>
  db
    .delete(notificationDeliveries)
    .where(
      and(
        or(eq(notificationDeliveries.status, 'sent'), eq(notificationDeliveries.status, 'failed')),
        lt(notificationDeliveries.createdAt, before),
      ),
    )
