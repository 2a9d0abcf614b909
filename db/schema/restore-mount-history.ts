import { index, int, mysqlEnum, mysqlTable } from 'drizzle-orm/mysql-core'
import { createdAt, id64, time } from './columns.ts'

/** Mounts that have ended, remembered 7 days so that their ids answer MOUNT_EXPIRED. */
export const restoreMountHistory = mysqlTable(
  'restore_mount_history',
  {
    id: id64().primaryKey(),
    backupId: id64().notNull(),
    diskIndex: int().notNull(),
    endedAt: time().notNull(),
    reason: mysqlEnum(['user', 'expired', 'backup_deleted', 'restart', 'failed']).notNull(),
    createdAt: createdAt(),
  },
  (table) => [index('restore_mount_history_ended').on(table.endedAt)],
)
