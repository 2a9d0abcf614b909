import { sql } from 'drizzle-orm'
import { check, index, json, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { backupPolicies } from './backup-policies.ts'
import { backupRepositories } from './backup-repositories.ts'
import { count, createdAt, flag, id64, text255, time, updatedAt } from './columns.ts'
import { replicationSchedules } from './replication-schedules.ts'

export const protectionFlows = mysqlTable(
  'protection_flows',
  {
    id: id64().primaryKey(),
    name: text255().notNull().unique('protection_flows_name_unique'),
    repositoryId: id64().references(() => backupRepositories.id, { onDelete: 'restrict' }),
    policyId: id64().references(() => backupPolicies.id, { onDelete: 'set null' }),
    scheduleId: id64().references(() => replicationSchedules.id, { onDelete: 'restrict' }),
    description: text(),
    flowType: mysqlEnum(['backup', 'replication']).notNull(),
    targetType: mysqlEnum(['vm', 'group']).notNull(),
    targetId: id64().notNull(),
    destinationType: mysqlEnum(['ossea', 'vmware', 'hyperv']),
    destinationConfig: json(),
    enabled: flag(true),
    lastExecutionId: id64(),
    lastExecutionStatus: mysqlEnum(['pending', 'running', 'success', 'warning', 'error', 'cancelled'])
      .notNull()
      .default('pending'),
    lastExecutionTime: time(),
    nextExecutionTime: time(),
    totalExecutions: count(),
    successfulExecutions: count(),
    failedExecutions: count(),
    createdBy: text255(),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('protection_flows_type').on(table.flowType),
    index('protection_flows_target').on(table.targetType, table.targetId),
    index('protection_flows_enabled').on(table.enabled),
    check(
      'protection_flows_backup_repository',
      sql`${table.flowType} <> 'backup' or ${table.repositoryId} is not null`,
    ),
  ],
)
