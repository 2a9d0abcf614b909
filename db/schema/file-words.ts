import { bigint, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'

/** Words of files' names in small letters: what a search begins with. */
export const fileWords = mysqlTable(
  'file_words',
  { word: varchar({ length: 64 }).notNull(), nameHash: bigint({ mode: 'bigint' }).notNull() },
  (table) => [primaryKey({ columns: [table.word, table.nameHash] })],
)
