import { type AnyMySqlColumn, index, int, mysqlEnum, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core'
import { count, createdAt, flag, id64, text255, time, updatedAt } from './columns.ts'

export const replicationSchedules = mysqlTable(
  'replication_schedules',
  {
    id: id64().primaryKey(),
    name: text255().notNull().unique('replication_schedules_name_unique'),
    chainParentScheduleId: id64().references((): AnyMySqlColumn => replicationSchedules.id, { onDelete: 'set null' }),
    description: text(),
    cronExpression: varchar({ length: 100 }).notNull(),
    scheduleType: mysqlEnum(['cron', 'chain']).notNull().default('cron'),
    timezone: varchar({ length: 50 }).notNull().default('UTC'),
    chainDelayMinutes: count(),
    replicationType: mysqlEnum(['full', 'incremental', 'auto']).notNull().default('auto'),
    maxConcurrentJobs: int().notNull().default(1),
    retryAttempts: int().notNull().default(3),
    retryDelayMinutes: int().notNull().default(30),
    enabled: flag(true),
    skipIfRunning: flag(true),
    /** When it is due; null: not by itself. Of a chain: set when the schedule before it has run. */
    nextExecutionAt: time(),
    lastExecutionAt: time(),
    createdBy: text255(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [index('replication_schedules_due').on(table.enabled, table.nextExecutionAt)],
)
