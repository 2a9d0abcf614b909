import { date, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { backupRepositories } from './backup-repositories.ts'
import { big, id64 } from './columns.ts'

/** What was used of a repository on each day, as last measured then: from it is told how long the room lasts. */
export const repositoryUsage = mysqlTable(
  'repository_usage',
  {
    repositoryId: id64()
      .notNull()
      .references(() => backupRepositories.id, { onDelete: 'cascade' }),
    day: date({ mode: 'string' }).notNull(),
    usedBytes: big().notNull(),
  },
  (table) => [primaryKey({ columns: [table.repositoryId, table.day] })],
)
