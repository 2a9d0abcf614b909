import { index, int, mysqlEnum, mysqlTable, text, unique } from 'drizzle-orm/mysql-core'
import { count, createdAt, id64, text255, time } from './columns.ts'
import { protectionFlowExecutions } from './protection-flow-executions.ts'

/** One VM of one run of a flow: what is still to do survives every hub. The backups that were made for it name it. */
export const protectionFlowJobs = mysqlTable(
  'protection_flow_jobs',
  {
    id: id64().primaryKey(),
    executionId: id64()
      .notNull()
      .references(() => protectionFlowExecutions.id, { onDelete: 'cascade' }),
    /** No key: a VM that is removed meanwhile fails its job, not the run. */
    vmContextId: id64().notNull(),
    vmName: text255().notNull(),
    position: int().notNull(),
    state: mysqlEnum(['waiting', 'starting', 'running', 'completed', 'failed', 'cancelled', 'skipped'])
      .notNull()
      .default('waiting'),
    /** Starts that came to nothing, and backups that failed. */
    failures: count(),
    /** Of `starting`: when a hub took it. Of `waiting`: not before. */
    claimedAt: time(),
    notBefore: time(),
    errorMessage: text(),
    createdAt: createdAt(),
  },
  (table) => [
    unique('protection_flow_jobs_vm_unique').on(table.executionId, table.vmContextId),
    index('protection_flow_jobs_state').on(table.executionId, table.state, table.position),
  ],
)
