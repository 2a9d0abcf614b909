import { decimal, int, json, mysqlTable, text, unique, varchar } from 'drizzle-orm/mysql-core'
import { big, createdAt, id64, text255, updatedAt } from './columns.ts'
import { osseaVolumes } from './ossea-volumes.ts'
import { replicationJobs } from './replication-jobs.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

/** The disks of a managed VM as the last discovery saw them. */
export const vmDisks = mysqlTable(
  'vm_disks',
  {
    id: int().autoincrement().primaryKey(),
    vmContextId: id64()
      .notNull()
      .references(() => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
    jobId: varchar({ length: 191 }).references(() => replicationJobs.id, { onDelete: 'set null' }),
    osseaVolumeId: int().references(() => osseaVolumes.id, { onDelete: 'set null' }),
    /** `disk-2000`: 2000 + index. */
    diskId: text255().notNull(),
    diskIndex: int().notNull(),
    /** The source's own id of the disk; keeps its index when another disk is removed. */
    vmdkPath: varchar({ length: 1024 }).notNull(),
    sizeGb: decimal({ precision: 14, scale: 3, mode: 'number' }).notNull(),
    datastore: text255(),
    unitNumber: int(),
    label: text255(),
    capacityBytes: big().notNull().default(0),
    provisioningType: text255(),
    cpuCount: int(),
    memoryMb: int(),
    osType: text255(),
    vmToolsVersion: text255(),
    networkConfig: text(),
    displayName: text255(),
    annotation: text(),
    powerState: text255(),
    vmwareUuid: text255(),
    biosSetup: json(),
    diskChangeId: text255(),
    syncStatus: varchar({ length: 50 }).notNull().default('pending'),
    syncProgressPercent: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    bytesSynced: big().notNull().default(0),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [unique('vm_disks_disk_unique').on(table.vmContextId, table.diskId)],
)
