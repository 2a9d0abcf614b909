import { mysqlTable, text } from 'drizzle-orm/mysql-core'
import { backupJobs } from './backup-jobs.ts'
import { backupRepositories } from './backup-repositories.ts'
import { big, createdAt, id64 } from './columns.ts'

/** Restore points whose files are being brought back from a copy. */
export const backupHeals = mysqlTable('backup_heals', {
  backupJobId: id64()
    .primaryKey()
    .references(() => backupJobs.id, { onDelete: 'cascade' }),
  /** Where the copy lies. */
  repositoryId: id64()
    .notNull()
    .references(() => backupRepositories.id, { onDelete: 'cascade' }),
  doneBytes: big().notNull().default(0),
  totalBytes: big().notNull().default(0),
  /** What keeps it from going on; it is tried again. */
  errorMessage: text(),
  createdAt: createdAt(),
})
