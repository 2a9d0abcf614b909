import { index, int, json, mysqlEnum, mysqlTable } from 'drizzle-orm/mysql-core'
import { big, createdAt, flag, id64, text255, time, updatedAt } from './columns.ts'

export const backupRepositories = mysqlTable(
  'backup_repositories',
  {
    id: id64().primaryKey(),
    name: text255().notNull().unique('backup_repositories_name_unique'),
    repositoryType: mysqlEnum(['local', 'nfs', 'cifs', 'smb', 's3', 'azure']).notNull(),
    enabled: flag(true),
    config: json().$type<Record<string, unknown>>().notNull(),
    isImmutable: flag(false),
    immutableConfig: json().$type<Record<string, unknown>>(),
    minRetentionDays: int().notNull().default(0),
    totalSizeBytes: big().notNull().default(0),
    usedSizeBytes: big().notNull().default(0),
    availableSizeBytes: big().notNull().default(0),
    lastCheckAt: time(),
    /** As it was last told to those who want to know. */
    storageState: mysqlEnum(['ok', 'low', 'unreachable']).notNull().default('ok'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (table) => [
    index('backup_repositories_type').on(table.repositoryType),
    index('backup_repositories_enabled').on(table.enabled),
    index('backup_repositories_immutable').on(table.isImmutable),
  ],
)
