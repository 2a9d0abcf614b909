import { type AnyMySqlColumn, decimal, index, int, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core'
import { big, createdAt, id64, text255, time, updatedAt } from './columns.ts'
import { osseaConfigs } from './ossea-configs.ts'
import { scheduleExecutions } from './schedule-executions.ts'
import { vmMachineGroups } from './vm-machine-groups.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

export const replicationJobs = mysqlTable(
  'replication_jobs',
  {
    id: varchar({ length: 191 }).primaryKey(),
    vmContextId: id64().references((): AnyMySqlColumn => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
    osseaConfigId: int().references(() => osseaConfigs.id, { onDelete: 'set null' }),
    scheduleExecutionId: id64().references(() => scheduleExecutions.id, { onDelete: 'set null' }),
    vmGroupId: id64().references(() => vmMachineGroups.id, { onDelete: 'set null' }),
    sourceVmId: text255().notNull(),
    sourceVmName: text255().notNull(),
    sourceVmPath: varchar({ length: 500 }).notNull(),
    vcenterHost: text255().notNull(),
    datacenter: text255().notNull(),
    replicationType: varchar({ length: 50 }).notNull(),
    targetNetwork: text255(),
    status: varchar({ length: 50 }).notNull().default('pending'),
    progressPercent: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    setupProgressPercent: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    currentOperation: text255(),
    bytesTransferred: big().notNull().default(0),
    totalBytes: big().notNull().default(0),
    transferSpeedBps: big().notNull().default(0),
    errorMessage: text(),
    changeId: text255(),
    previousChangeId: text255(),
    snapshotId: text255(),
    nbdPort: int(),
    nbdExportName: text255(),
    targetDevice: text255(),
    vmaSyncType: varchar({ length: 50 }),
    vmaCurrentPhase: varchar({ length: 50 }),
    vmaThroughputMbps: decimal({ precision: 10, scale: 2, mode: 'number' }),
    vmaEtaSeconds: int(),
    vmaLastPollAt: time(),
    vmaErrorClassification: text255(),
    vmaErrorDetails: text(),
    scheduledBy: text255(),
    lastTelemetryAt: time(),
    startedAt: time(),
    completedAt: time(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('replication_jobs_status').on(table.status),
    index('replication_jobs_created').on(table.createdAt),
    index('replication_jobs_poll').on(table.status, table.vmaLastPollAt),
  ],
)
