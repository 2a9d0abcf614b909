import { foreignKey, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big, id64 } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'

/** Points of which files may be known: those of a point that is none any more, or whose walk was cut off, are to be forgotten. */
export const fileWalks = mysqlTable(
  'file_walks',
  {
    vmBackupContextId: id64().notNull(),
    /** When the point was completed. */
    at: big().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.vmBackupContextId, table.at] }),
    // Its own name would be too long.
    foreignKey({
      name: 'file_walks_context_fk',
      columns: [table.vmBackupContextId],
      foreignColumns: [vmBackupContexts.contextId],
    }).onDelete('cascade'),
  ],
)
