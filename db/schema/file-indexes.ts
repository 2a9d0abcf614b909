import { bigint, foreignKey, index, mysqlEnum, mysqlTable, text } from 'drizzle-orm/mysql-core'
import { backupJobs } from './backup-jobs.ts'
import { big, createdAt, id64, time } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'

/** Which restore points' files are known by name. */
export const fileIndexes = mysqlTable(
  'file_indexes',
  {
    backupJobId: id64()
      .primaryKey()
      .references(() => backupJobs.id, { onDelete: 'cascade' }),
    vmBackupContextId: id64().notNull(),
    /** When the point was completed, in milliseconds since 1970: its place among the others of its VM. */
    pointAt: bigint({ mode: 'number' }).notNull(),
    status: mysqlEnum(['pending', 'running', 'completed', 'failed']).notNull().default('pending'),
    /** Whether the files' contents are to be read for their digests, too, and whether that is done. */
    digests: mysqlEnum(['none', 'pending', 'completed']).notNull().default('none'),
    entryCount: big().notNull().default(0),
    startedAt: time(),
    endedAt: time(),
    errorMessage: text(),
    createdAt: createdAt(),
  },
  (table) => [
    // Its own name would be too long.
    foreignKey({
      name: 'file_indexes_context_fk',
      columns: [table.vmBackupContextId],
      foreignColumns: [vmBackupContexts.contextId],
    }).onDelete('cascade'),

    index('file_indexes_status').on(table.status, table.createdAt),
    index('file_indexes_digests').on(table.digests, table.createdAt),
    index('file_indexes_points').on(table.vmBackupContextId, table.status, table.pointAt),
  ],
)
