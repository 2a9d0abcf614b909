import { index, int, json, mysqlEnum, mysqlTable, text, unique } from 'drizzle-orm/mysql-core'
import { count, createdAt, id64, text255, time } from './columns.ts'
import { replicationSchedules } from './replication-schedules.ts'
import { vmMachineGroups } from './vm-machine-groups.ts'

export const scheduleExecutions = mysqlTable(
  'schedule_executions',
  {
    id: id64().primaryKey(),
    scheduleId: id64()
      .notNull()
      .references(() => replicationSchedules.id, { onDelete: 'cascade' }),
    groupId: id64().references(() => vmMachineGroups.id, { onDelete: 'set null' }),
    scheduledAt: time().notNull(),
    startedAt: time(),
    completedAt: time(),
    status: mysqlEnum(['scheduled', 'running', 'completed', 'failed', 'skipped', 'cancelled'])
      .notNull()
      .default('scheduled'),
    executionType: mysqlEnum(['scheduled', 'manual']).notNull().default('scheduled'),
    vmsEligible: count(),
    jobsCreated: count(),
    jobsCompleted: count(),
    jobsFailed: count(),
    jobsSkipped: count(),
    executionDetails: json().$type<Record<string, unknown>>(),
    errorMessage: text(),
    errorDetails: json().$type<Record<string, unknown>>(),
    executionDurationSeconds: int(),
    triggeredBy: text255(),
    createdAt: createdAt(),
  },
  (table) => [
    // Of two hubs that find the same run due, one begins it.
    unique('schedule_executions_slot_unique').on(table.scheduleId, table.scheduledAt),
    index('schedule_executions_status').on(table.status),
  ],
)
