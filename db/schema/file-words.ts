import { int, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'

/** Words of files' names in small letters, and in which part of which folder (db/queries/file-places.ts) there is or was a name with it: what a search begins with. */
export const fileWords = mysqlTable(
  'file_words',
  { word: varchar({ length: 64 }).notNull(), folderId: int().notNull(), part: int().notNull() },
  (table) => [primaryKey({ columns: [table.word, table.folderId, table.part] })],
)
