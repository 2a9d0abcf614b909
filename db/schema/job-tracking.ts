import { type AnyMySqlColumn, decimal, index, json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { createdAt, id64, text255, time, updatedAt } from './columns.ts'

/** Jobs of several steps (failover, rollback). */
export const jobTracking = mysqlTable(
  'job_tracking',
  {
    id: id64().primaryKey(),
    parentJobId: id64().references((): AnyMySqlColumn => jobTracking.id, { onDelete: 'set null' }),
    jobType: text255().notNull(),
    operation: text255().notNull(),
    status: mysqlEnum(['pending', 'running', 'completed', 'failed', 'cancelled']).notNull().default('pending'),
    percentComplete: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    cloudstackJobId: text255(),
    externalJobId: text255(),
    contextId: id64(),
    jobCategory: text255(),
    metadata: json(),
    errorMessage: text(),
    owner: text255(),
    startedAt: time(),
    completedAt: time(),
    canceledAt: time(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [index('job_tracking_context').on(table.contextId, table.createdAt)],
)
