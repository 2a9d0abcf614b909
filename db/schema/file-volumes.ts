import { foreignKey, int, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { id64 } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'

/** Volumes of a VM, in all of its restore points. */
export const fileVolumes = mysqlTable(
  'file_volumes',
  {
    id: int().autoincrement().primaryKey(),
    vmBackupContextId: id64().notNull(),
    volume: varchar({ length: 300 }).notNull(),
  },
  (table) => [
    // Its own name would be too long.
    foreignKey({
      name: 'file_volumes_context_fk',
      columns: [table.vmBackupContextId],
      foreignColumns: [vmBackupContexts.contextId],
    }).onDelete('cascade'),
    unique('file_volumes_unique').on(table.vmBackupContextId, table.volume),
  ],
)
