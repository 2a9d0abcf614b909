import { index, mysqlEnum, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { backupRepositories } from './backup-repositories.ts'
import { count, createdAt, flag, id64, text255, time, updatedAt } from './columns.ts'

/** One VM in one repository: the folder its chains lie in. */
export const vmBackupContexts = mysqlTable(
  'vm_backup_contexts',
  {
    contextId: id64().primaryKey(),
    repositoryId: id64()
      .notNull()
      .references(() => backupRepositories.id, { onDelete: 'restrict' }),
    vmName: text255().notNull(),
    vmwareVmId: text255(),
    vmPath: varchar({ length: 500 }),
    vcenterHost: text255(),
    datacenter: text255(),
    totalBackupsRun: count(),
    successfulBackups: count(),
    failedBackups: count(),
    lastBackupId: id64(),
    lastBackupType: mysqlEnum(['full', 'incremental']),
    lastBackupAt: time(),
    /** A backup under a policy has been completed since retention last looked. */
    retentionDue: flag(false),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    unique('vm_backup_contexts_vm_unique').on(table.vmName, table.vcenterHost, table.repositoryId),
    index('vm_backup_contexts_retention').on(table.retentionDue),
  ],
)
