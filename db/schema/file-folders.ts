import { binary, int, mysqlTable, unique, varchar } from 'drizzle-orm/mysql-core'
import { fileVolumes } from './file-volumes.ts'

/** Folders of volumes, in all restore points: files are told by these and their names. */
export const fileFolders = mysqlTable(
  'file_folders',
  {
    id: int().autoincrement().primaryKey(),
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    /** The first half of the SHA-256 of the path as it is kept here. */
    pathHash: binary({ length: 16 }).notNull(),
    /** Without a slash at its end; base64 behind a NUL where the bytes are no text. */
    path: varchar({ length: 5500 }).notNull(),
  },
  (table) => [unique('file_folders_unique').on(table.volumeId, table.pathHash)],
)
