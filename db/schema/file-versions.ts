import { bigint, binary, index, int, mysqlEnum, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

/**
 * Versions of files: each is one row, however many restore points hold it. It is in those points of its VM whose time is `firstAt` or later and before
 * `lastAt`; the greatest number stands for a version that the newest point has. Its name is in file_names.
 */
export const fileVersions = mysqlTable(
  'file_versions',
  {
    id: bigint({ mode: 'number' }).autoincrement().primaryKey(),
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    /** The first half of the SHA-256 of the path's bytes. */
    pathHash: binary({ length: 16 }).notNull(),
    /** As text; base64 behind a NUL where the bytes are none. */
    path: varchar({ length: 5500 }).notNull(),
    nameId: int().notNull(),
    kind: mysqlEnum(['f', 'd', 'l', 'o']).notNull(),
    size: big().notNull(),
    /** Microseconds since 1970. */
    modified: big().notNull(),
    firstAt: big().notNull(),
    lastAt: big().notNull(),
  },
  (table) => [
    index('file_versions_path').on(table.volumeId, table.pathHash, table.lastAt),
    index('file_versions_last').on(table.volumeId, table.lastAt),
    index('file_versions_first').on(table.volumeId, table.firstAt),
    index('file_versions_name').on(table.nameId, table.lastAt),
  ],
)
