import { int, mediumtext, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileFolders } from './file-folders.ts'

/**
 * Files that the newest indexed point has otherwise than the one before, as its walk told them: part of a folder in each row. They lie over the rows of file_slices until they are merged into them, which
 * takes as long as all else that makes a point known.
 */
export const fileDeltas = mysqlTable(
  'file_deltas',
  {
    folderId: int()
      .notNull()
      .references(() => fileFolders.id, { onDelete: 'cascade' }),
    /** The least hash that a name in it may have. */
    least: big().notNull(),
    /** When the point was completed, and the indexed one before it. */
    at: big().notNull(),
    beforeAt: big().notNull(),
    /** JSON (db/queries/file-deltas.ts). */
    told: mediumtext().notNull(),
  },
  (table) => [primaryKey({ columns: [table.folderId, table.least] })],
)
