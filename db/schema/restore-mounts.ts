import { bigint, boolean, index, json, mysqlEnum, mysqlTable, text, unique, varchar } from 'drizzle-orm/mysql-core'
import type { GuestSystem, Partition } from '../../contract/api/restore.ts'
import { backupDisks } from './backup-disks.ts'
import { createdAt, id64, time } from './columns.ts'

/** Live mounts only; what has ended is in restore_mount_history. */
export const restoreMounts = mysqlTable(
  'restore_mounts',
  {
    id: id64().primaryKey(),
    backupDiskId: bigint({ mode: 'number' })
      .notNull()
      .references(() => backupDisks.id, { onDelete: 'cascade' }),
    /** All disks of that backup are open; `backupDiskId` is the first. */
    allDisks: boolean().notNull().default(false),
    /** Of the copy that it is read from; null: of the backup itself. */
    repositoryId: id64(),
    mountPath: varchar({ length: 512 }),
    nbdDevice: varchar({ length: 32 }),
    filesystemType: varchar({ length: 32 }),
    mountMode: mysqlEnum(['read-only', 'read-write']).notNull().default('read-only'),
    status: mysqlEnum(['mounting', 'mounted', 'unmounting', 'failed', 'unmounted']).notNull().default('mounting'),
    errorMessage: text(),
    partitionMetadata: json().$type<Partition[]>(),
    guest: json().$type<GuestSystem>(),
    lastAccessedAt: time(),
    expiresAt: time(),
    unmountedAt: time(),
    createdAt: createdAt(),
  },
  (table) => [
    unique('restore_mounts_disk_unique').on(table.backupDiskId),
    unique('restore_mounts_device_unique').on(table.nbdDevice),
    index('restore_mounts_status').on(table.status),
    index('restore_mounts_expires').on(table.expiresAt),
    index('restore_mounts_accessed').on(table.lastAccessedAt),
  ],
)
