/** The audit log: rows are added and read, nothing else. */
import { and, count, desc, eq, gte, lt, lte } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { auditLog } from '../schema/index.ts'

export type AuditRow = typeof auditLog.$inferSelect
export type AuditFilter = {
  actor?: string | undefined
  action?: string | undefined
  status?: number | undefined
  since?: Date | undefined
  until?: Date | undefined
}

export const insertAudit = (db: Executor, row: Omit<typeof auditLog.$inferInsert, 'id'>) =>
  db.insert(auditLog).values(row)

const matching = ({ actor, action, status, since, until }: AuditFilter) =>
  and(
    actor === undefined ? undefined : eq(auditLog.actor, actor),
    action === undefined ? undefined : eq(auditLog.action, action),
    status === undefined ? undefined : eq(auditLog.status, status),
    since === undefined ? undefined : gte(auditLog.at, since),
    until === undefined ? undefined : lte(auditLog.at, until),
  )

export const countAudit = async (db: Executor, filter: AuditFilter): Promise<number> =>
  (await db.select({ total: count() }).from(auditLog).where(matching(filter)))[0]!.total

/** Newest first. @param before only rows with smaller ids: pages by it stay right while rows are added */
export const listAudit = (
  db: Executor,
  filter: AuditFilter,
  { limit, offset = 0, before }: { limit: number; offset?: number; before?: number },
): Promise<AuditRow[]> =>
  db
    .select()
    .from(auditLog)
    .where(and(matching(filter), before === undefined ? undefined : lt(auditLog.id, before)))
    .orderBy(desc(auditLog.id))
    .limit(limit)
    .offset(offset)

export const toAuditEntry = (row: AuditRow) => ({
  id: row.id,
  timestamp: row.at.toISOString(),
  actor_kind: row.actorKind,
  actor: row.actor,
  actor_id: row.actorId,
  action: row.action,
  method: row.method,
  path: row.path,
  status_code: row.status,
  code: row.code,
  details: row.details,
  remote_addr: row.remoteAddress,
  request_id: row.requestId,
})
