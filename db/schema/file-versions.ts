import { bigint, index, int, mysqlEnum, mysqlTable, primaryKey, varchar } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

/**
 * Versions of files: each is one row, however many restore points hold it. It is in those points of its VM whose time is `firstAt` or later and before
 * `lastAt`; the greatest number stands for a version that the newest point has.
 */
export const fileVersions = mysqlTable(
  'file_versions',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    folderId: int().notNull(),
    /** The first 64 bits of the SHA-256 of the name as it is kept here. */
    nameHash: bigint({ mode: 'bigint' }).notNull(),
    /** Base64 behind a NUL where the bytes are no text. */
    name: varchar({ length: 1400 }).notNull(),
    kind: mysqlEnum(['f', 'd', 'l', 'o']).notNull(),
    size: big().notNull(),
    /** Microseconds since 1970. */
    modified: big().notNull(),
    firstAt: big().notNull(),
    lastAt: big().notNull(),
  },
  (table) => [
    // What lies in one folder lies together: a walk reads and writes folder by folder.
    primaryKey({ columns: [table.folderId, table.nameHash, table.firstAt] }),
    index('file_versions_last').on(table.volumeId, table.lastAt),
    index('file_versions_first').on(table.volumeId, table.firstAt),
    index('file_versions_name').on(table.nameHash, table.lastAt),
  ],
)
