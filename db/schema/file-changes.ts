import { int, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

/** Names that have a version which begins or ends with a point; but for what begins with the oldest, which differs from nothing before it. */
export const fileChanges = mysqlTable(
  'file_changes',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    /** When the point was completed. */
    at: big().notNull(),
    folderId: int().notNull(),
    nameHash: big().notNull(),
  },
  (table) => [primaryKey({ columns: [table.volumeId, table.at, table.folderId, table.nameHash] })],
)
