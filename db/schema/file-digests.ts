import { binary, index, int, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

/** SHA-256 of files' contents, where a policy asks for it. As everywhere in the index, the same name, size and time are the same content. */
export const fileDigests = mysqlTable(
  'file_digests',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    folderId: int().notNull(),
    nameHash: big().notNull(),
    size: big().notNull(),
    modified: big().notNull(),
    sha256: binary({ length: 32 }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.folderId, table.nameHash, table.size, table.modified] }),
    index('file_digests_content').on(table.sha256),
  ],
)
