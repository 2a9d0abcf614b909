import { type AnyMySqlColumn, index, int, json, mysqlEnum, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { count, createdAt, flag, id64, text255, time, updatedAt } from './columns.ts'
import { osseaConfigs } from './ossea-configs.ts'
import { replicationJobs } from './replication-jobs.ts'
import { vmwareCredentials } from './vmware-credentials.ts'

/** A managed VM. */
export const vmReplicationContexts = mysqlTable(
  'vm_replication_contexts',
  {
    contextId: id64().primaryKey(),
    vmName: text255().notNull(),
    vmwareVmId: text255().notNull(),
    vmPath: varchar({ length: 500 }).notNull(),
    vcenterHost: text255().notNull(),
    datacenter: text255().notNull(),
    currentStatus: mysqlEnum([
      'discovered',
      'ready',
      'replicating',
      'ready_for_failover',
      'failed_over_test',
      'failed_over_live',
      'completed',
      'failed',
      'cleanup_required',
    ])
      .notNull()
      .default('discovered'),
    currentJobId: varchar({ length: 191 }).references((): AnyMySqlColumn => replicationJobs.id, {
      onDelete: 'set null',
    }),
    lastSuccessfulJobId: varchar({ length: 191 }).references((): AnyMySqlColumn => replicationJobs.id, {
      onDelete: 'set null',
    }),
    credentialId: int().references(() => vmwareCredentials.id, { onDelete: 'set null' }),
    osseaConfigId: int().references(() => osseaConfigs.id, { onDelete: 'set null' }),
    totalJobsRun: count(),
    successfulJobs: count(),
    failedJobs: count(),
    cpuCount: int(),
    memoryMb: int(),
    osType: text255(),
    powerState: text255(),
    vmToolsVersion: text255(),
    firstJobAt: time(),
    lastJobAt: time(),
    lastStatusChange: time(),
    autoAdded: flag(false),
    lastScheduledJobId: varchar({ length: 191 }),
    nextScheduledAt: time(),
    schedulerEnabled: flag(true),
    lastOperationSummary: json().$type<Record<string, unknown>>(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    unique('vm_contexts_vmware_id_unique').on(table.vmwareVmId, table.vcenterHost),
    unique('vm_contexts_name_unique').on(table.vmName, table.vcenterHost),
    index('vm_contexts_status').on(table.currentStatus),
  ],
)
