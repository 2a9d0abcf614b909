import { int, mysqlEnum, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileFolders } from './file-folders.ts'

/**
 * Versions of files that the newest indexed point does not have any more: each is one row, however many restore points hold it. It is in those points of its VM whose time
 * is `firstAt` or later and before `lastAt`.
 */
export const fileVersions = mysqlTable(
  'file_versions',
  {
    folderId: int()
      .notNull()
      .references(() => fileFolders.id, { onDelete: 'cascade' }),
    /** Of the name as it is kept here (contract/index-slices.ts). */
    nameHash: big().notNull(),
    /** Base64 behind a NUL where the bytes are no text. */
    name: varchar({ length: 1400 }).notNull(),
    kind: mysqlEnum(['f', 'd', 'l', 'o']).notNull(),
    size: big().notNull(),
    /** Microseconds since 1970. */
    modified: big().notNull(),
    firstAt: big().notNull(),
    lastAt: big().notNull(),
  },
  // What lies in one folder lies together: a walk reads and writes folder by folder.
  (table) => [primaryKey({ columns: [table.folderId, table.nameHash, table.firstAt] })],
)
