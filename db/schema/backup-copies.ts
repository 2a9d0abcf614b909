import { index, mysqlEnum, mysqlTable, text, unique, varchar } from 'drizzle-orm/mysql-core'
import { backupCopyRules } from './backup-copy-rules.ts'
import { backupJobs } from './backup-jobs.ts'
import { backupRepositories } from './backup-repositories.ts'
import { big, createdAt, flag, id64, time } from './columns.ts'

export const backupCopies = mysqlTable(
  'backup_copies',
  {
    id: id64().primaryKey(),
    sourceBackupId: id64()
      .notNull()
      .references(() => backupJobs.id, { onDelete: 'cascade' }),
    repositoryId: id64()
      .notNull()
      .references(() => backupRepositories.id, { onDelete: 'restrict' }),
    copyRuleId: id64().references(() => backupCopyRules.id, { onDelete: 'set null' }),
    status: mysqlEnum(['pending', 'copying', 'verifying', 'completed', 'failed']).notNull().default('pending'),
    filePath: varchar({ length: 512 }),
    sizeBytes: big().notNull().default(0),
    copyStartedAt: time(),
    copyCompletedAt: time(),
    verifiedAt: time(),
    /** Until when its files are immutable; null: they are not. */
    lockedUntil: time(),
    verificationStatus: mysqlEnum(['pending', 'passed', 'failed']).notNull().default('pending'),
    errorMessage: text(),
    /** As its rule says, or the call that asked for it. */
    verifyAfterCopy: flag(true),
    /** Of the copying: bytes of files. */
    doneBytes: big().notNull().default(0),
    totalBytes: big().notNull().default(0),
    createdAt: createdAt(),
  },
  (table) => [
    unique('backup_copies_target_unique').on(table.sourceBackupId, table.repositoryId),
    index('backup_copies_status').on(table.status),
  ],
)
