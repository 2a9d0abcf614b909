import { int, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { big, count, createdAt, id64, updatedAt } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'

/** The newest chain of each disk. */
export const backupChains = mysqlTable(
  'backup_chains',
  {
    id: varchar({ length: 128 }).primaryKey(),
    vmContextId: id64()
      .notNull()
      .references(() => vmBackupContexts.contextId, { onDelete: 'cascade' }),
    diskId: int().notNull(),
    fullBackupId: id64().notNull().default(''),
    latestBackupId: id64().notNull().default(''),
    totalBackups: count(),
    totalSizeBytes: big().notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [unique('backup_chains_disk_unique').on(table.vmContextId, table.diskId)],
)
