import { index, int, json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { big, count, createdAt, id64, text255, time, updatedAt } from './columns.ts'
import { protectionFlows } from './protection-flows.ts'
import { scheduleExecutions } from './schedule-executions.ts'

/** One run of a flow. Its figures are those of its jobs (protection_flow_jobs), written here for good when it has ended. */
export const protectionFlowExecutions = mysqlTable(
  'protection_flow_executions',
  {
    id: id64().primaryKey(),
    flowId: id64()
      .notNull()
      .references(() => protectionFlows.id, { onDelete: 'cascade' }),
    scheduleExecutionId: id64().references(() => scheduleExecutions.id, { onDelete: 'set null' }),
    status: mysqlEnum(['pending', 'running', 'success', 'warning', 'error', 'cancelled']).notNull().default('pending'),
    executionType: mysqlEnum(['scheduled', 'manual', 'api']).notNull(),
    jobsCreated: count(),
    jobsCompleted: count(),
    jobsFailed: count(),
    jobsSkipped: count(),
    vmsProcessed: count(),
    bytesTransferred: big().notNull().default(0),
    startedAt: time(),
    completedAt: time(),
    executionTimeSeconds: int(),
    errorMessage: text(),
    /** How it runs, as it was when it began. */
    executionMetadata: json().$type<RunRules>().notNull(),
    createdJobIds: json().$type<string[]>(),
    triggeredBy: text255(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('protection_flow_executions_flow').on(table.flowId, table.startedAt),
    index('protection_flow_executions_status').on(table.status),
    index('protection_flow_executions_completed').on(table.completedAt),
  ],
)

export type RunRules = {
  /** VMs at once; of a group its own limit. */
  maxConcurrentVms: number
  /** Jobs at once over all flows of the schedule's run; null: it was not a schedule that began it. */
  maxConcurrentJobs: number | null
  backupType: 'full' | 'incremental' | 'auto'
  retryAttempts: number
  retryDelayMinutes: number
}
