import { int, json, mysqlEnum, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, id64, text255, time, updatedAt } from './columns.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

export const failoverJobs = mysqlTable('failover_jobs', {
  id: int().autoincrement().primaryKey(),
  jobId: varchar({ length: 191 }).notNull().unique('failover_jobs_job_unique'),
  vmContextId: id64().references(() => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
  vmId: text255().notNull(),
  replicationJobId: varchar({ length: 191 }),
  jobType: mysqlEnum(['live', 'test']).notNull(),
  status: varchar({ length: 50 }).notNull().default('pending'),
  sourceVmName: text255(),
  sourceVmSpec: json(),
  destinationVmId: text255(),
  osseaSnapshotId: text255(),
  linstorSnapshotName: text255(),
  linstorConfigId: int(),
  networkMappings: json(),
  errorMessage: text(),
  startedAt: time(),
  completedAt: time(),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
