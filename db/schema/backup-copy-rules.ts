import { int, mysqlEnum, mysqlTable } from 'drizzle-orm/mysql-core'
import { backupPolicies } from './backup-policies.ts'
import { backupRepositories } from './backup-repositories.ts'
import { createdAt, flag, id64 } from './columns.ts'

export const backupCopyRules = mysqlTable('backup_copy_rules', {
  id: id64().primaryKey(),
  policyId: id64()
    .notNull()
    .references(() => backupPolicies.id, { onDelete: 'cascade' }),
  destinationRepositoryId: id64()
    .notNull()
    .references(() => backupRepositories.id, { onDelete: 'restrict' }),
  copyMode: mysqlEnum(['immediate', 'scheduled', 'manual']).notNull().default('immediate'),
  priority: int().notNull(),
  enabled: flag(true),
  verifyAfterCopy: flag(true),
  createdAt: createdAt(),
})
