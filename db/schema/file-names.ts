import { index, int, mysqlTable, primaryKey, unique, varchar } from 'drizzle-orm/mysql-core'

/** Names of files, each once. */
export const fileNames = mysqlTable(
  'file_names',
  { id: int().autoincrement().primaryKey(), name: varchar({ length: 255 }).notNull() },
  (table) => [unique('file_names_unique').on(table.name)],
)

/** Words of names in small letters: what a search begins with. */
export const fileWords = mysqlTable(
  'file_words',
  { word: varchar({ length: 64 }).notNull(), nameId: int().notNull() },
  (table) => [primaryKey({ columns: [table.word, table.nameId] }), index('file_words_name').on(table.nameId)],
)
