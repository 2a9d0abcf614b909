import { mysqlTable } from 'drizzle-orm/mysql-core'
import { backupJobs } from './backup-jobs.ts'
import { big, createdAt, id64, time } from './columns.ts'

/** Checks of restore points against their checksums that wait or run; the oldest runs. */
export const backupVerifications = mysqlTable('backup_verifications', {
  backupJobId: id64()
    .primaryKey()
    .references(() => backupJobs.id, { onDelete: 'cascade' }),
  /** 0 = as fast as it goes. */
  bytesPerSecond: big().notNull().default(0),
  /** Files that were found whole at this time or later are not read again. */
  freshSince: time().notNull(),
  startedAt: time(),
  doneBytes: big().notNull().default(0),
  totalBytes: big().notNull().default(0),
  speedBps: big().notNull().default(0),
  createdAt: createdAt(),
})
