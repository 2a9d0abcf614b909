import { type AnyMySqlColumn, decimal, int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createdAt, id64, text255, time, updatedAt } from './columns.ts'
import { osseaConfigs } from './ossea-configs.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

export const osseaVolumes = mysqlTable('ossea_volumes', {
  id: int().autoincrement().primaryKey(),
  vmContextId: id64().references((): AnyMySqlColumn => vmReplicationContexts.contextId, { onDelete: 'cascade' }),
  osseaConfigId: int().references(() => osseaConfigs.id, { onDelete: 'restrict' }),
  volumeId: varchar({ length: 191 }).notNull().unique('ossea_volumes_volume_unique'),
  volumeName: text255().notNull(),
  sizeGb: decimal({ precision: 14, scale: 3, mode: 'number' }).notNull(),
  volumeType: text255(),
  devicePath: text255(),
  mountPoint: text255(),
  status: varchar({ length: 50 }).notNull().default('creating'),
  snapshotId: text255(),
  snapshotCreatedAt: time(),
  snapshotStatus: varchar({ length: 50 }).notNull().default('none'),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
