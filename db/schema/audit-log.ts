import { bigint, index, int, json, mysqlEnum, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, text255 } from './columns.ts'

/** Who did what, and how it ended. Rows are added and never changed; no foreign keys, so that they outlive what they speak of. */
export const auditLog = mysqlTable(
  'audit_log',
  {
    id: bigint({ mode: 'number' }).autoincrement().primaryKey(),
    at: createdAt(),
    actorKind: mysqlEnum(['user', 'api_token', 'job', 'download', 'system', 'anonymous']).notNull(),
    /** Name of the user, id of the job. */
    actor: text255(),
    /** Of the user or the API token. */
    actorId: varchar({ length: 64 }),
    /** File of the function: `backups/start`. */
    action: varchar({ length: 64 }).notNull(),
    method: varchar({ length: 10 }).notNull(),
    path: varchar({ length: 512 }).notNull(),
    status: int().notNull(),
    /** Of the error; null when it was done. */
    code: varchar({ length: 64 }),
    /** What was sent, secrets left out. */
    details: json().$type<Record<string, unknown>>(),
    remoteAddress: varchar({ length: 64 }),
    requestId: varchar({ length: 64 }),
  },
  (table) => [index('audit_log_at').on(table.at), index('audit_log_actor').on(table.actor)],
)
