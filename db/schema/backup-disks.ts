import { bigint, decimal, index, int, json, mysqlEnum, mysqlTable, text, unique, varchar } from 'drizzle-orm/mysql-core'
import type { Damage } from '../../contract/agent.ts'
import { backupJobs } from './backup-jobs.ts'
import { big, createdAt, id64, text255, time } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'

export const backupDisks = mysqlTable(
  'backup_disks',
  {
    id: bigint({ mode: 'number' }).autoincrement().primaryKey(),
    backupJobId: id64()
      .notNull()
      .references(() => backupJobs.id, { onDelete: 'cascade' }),
    vmBackupContextId: id64()
      .notNull()
      .references(() => vmBackupContexts.contextId, { onDelete: 'cascade' }),
    diskIndex: int().notNull(),
    vmwareDiskKey: int().notNull(),
    sizeGb: decimal({ precision: 14, scale: 3, mode: 'number' }).notNull(),
    capacityBytes: big().notNull().default(0),
    label: text255(),
    originalPath: varchar({ length: 1024 }),
    unitNumber: int(),
    /** Set with completion only, so that it never runs ahead of durable data. */
    diskChangeId: text255(),
    qcow2Path: varchar({ length: 512 }),
    /** The file's name without `.qcow2`. */
    fileBase: varchar({ length: 191 }).notNull(),
    /** The export this disk is written through; unique among active jobs by nbd_port_allocations. */
    exportName: varchar({ length: 63 }),
    /** Names the sealed file's manifest, and with it every bit of the file. Null: sealed by a hub that did not keep it. */
    manifestDigest: varchar({ length: 64 }),
    /** When the file was last read whole and compared. */
    verifiedAt: time(),
    /** How far the check that runs has got, in bytes of the guest's disk. */
    verifyPosition: big().notNull().default(0),
    damages: json().$type<Damage[]>(),
    storedBytes: big().notNull().default(0),
    bytesTransferred: big().notNull().default(0),
    totalBytes: big().notNull().default(0),
    progressPercent: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    status: mysqlEnum(['pending', 'in_progress', 'completed', 'failed', 'cancelled']).notNull().default('pending'),
    errorMessage: text(),
    completedAt: time(),
    createdAt: createdAt(),
  },
  (table) => [
    unique('backup_disks_index_unique').on(table.backupJobId, table.diskIndex),
    index('backup_disks_chain').on(table.vmBackupContextId, table.diskIndex, table.status),
    index('backup_disks_file').on(table.fileBase),
    index('backup_disks_status').on(table.backupJobId, table.status),
  ],
)
