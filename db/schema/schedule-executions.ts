import { int, json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { count, createdAt, id64, text255, time } from './columns.ts'
import { replicationSchedules } from './replication-schedules.ts'
import { vmMachineGroups } from './vm-machine-groups.ts'

export const scheduleExecutions = mysqlTable('schedule_executions', {
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
  vmsEligible: count(),
  jobsCreated: count(),
  jobsCompleted: count(),
  jobsFailed: count(),
  jobsSkipped: count(),
  executionDetails: json(),
  errorMessage: text(),
  errorDetails: json(),
  executionDurationSeconds: int(),
  triggeredBy: text255(),
  createdAt: createdAt(),
})
