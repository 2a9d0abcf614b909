import { int, mediumtext, mysqlTable, primaryKey, tinyint } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileFolders } from './file-folders.ts'

/** Files that the newest indexed point has: a slice of a folder (contract/index-slices.ts) in each row. */
export const fileSlices = mysqlTable(
  'file_slices',
  {
    folderId: int()
      .notNull()
      .references(() => fileFolders.id, { onDelete: 'cascade' }),
    /** The least hash that a name in it may have. */
    least: big().notNull(),
    /** It is one of 2^bits. */
    bits: tinyint().notNull(),
    /** JSON: groups of files, each with when the point was completed since which they are as they are (db/queries/file-slices.ts). */
    files: mediumtext().notNull(),
  },
  (table) => [primaryKey({ columns: [table.folderId, table.least] })],
)
