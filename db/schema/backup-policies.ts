import { int, json, mysqlTable } from 'drizzle-orm/mysql-core'
import type { Keep } from '../../contract/api/policies.ts'
import { backupRepositories } from './backup-repositories.ts'
import { createdAt, flag, id64, text255, updatedAt } from './columns.ts'

export const backupPolicies = mysqlTable('backup_policies', {
  id: id64().primaryKey(),
  name: text255().notNull().unique('backup_policies_name_unique'),
  enabled: flag(true),
  primaryRepositoryId: id64().references(() => backupRepositories.id, { onDelete: 'restrict' }),
  retentionDays: int().notNull().default(30),
  /** Restore points to keep by count; null: only the days count. */
  keep: json().$type<Keep>(),
  /** Whether files of its backups are indexed when they are completed. */
  indexFiles: flag(true),
  /** Whether the contents of those files are read for their SHA-256, too. */
  indexDigests: flag(false),
  createdAt: createdAt(),
  updatedAt: updatedAt(),
})
