/** Restore points and copies in immutable repositories whose files are still to be locked, or for longer. */
import { and, eq, isNotNull, isNull, lt, or, sql } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { backupCopies, backupJobs, backupRepositories } from '../schema/index.ts'

const option = (name: string, otherwise: string) =>
  sql`coalesce(json_value(${backupRepositories.immutableConfig}, ${`$.${name}`}), ${otherwise})`
/** Locks begin after the days of grace, and hold from the end of the backup or copy on. */
const due = (completedAt: typeof backupJobs.completedAt | typeof backupCopies.copyCompletedAt, now: Date) => {
  const until = sql`date_add(${completedAt}, interval ${backupRepositories.minRetentionDays} day)`
  return {
    until,
    where: and(
      eq(backupRepositories.isImmutable, true),
      isNotNull(completedAt),
      sql`${until} > ${now}`,
      sql`date_add(${completedAt}, interval ${option('grace_period_days', '0')} day) <= ${now}`,
      // A JSON boolean is told as 1 and 0 by some versions of the database, as true and false by others.
      sql`case ${backupJobs.backupType} when 'full' then ${option('apply_to_full_backups', '1')} else ${option('apply_to_incrementals', '1')} end in ('1', 'true')`,
    ),
  }
}

export const backupsToLock = async (db: Executor, now: Date) => {
  const { until, where } = due(backupJobs.completedAt, now)
  return db
    .select({ id: backupJobs.id, until: sql<Date>`${until}`.mapWith(backupJobs.completedAt) })
    .from(backupJobs)
    .innerJoin(backupRepositories, eq(backupRepositories.id, backupJobs.repositoryId))
    .where(
      and(
        where,
        eq(backupJobs.status, 'completed'),
        isNull(backupJobs.mergingInto),
        or(isNull(backupJobs.lockedUntil), lt(backupJobs.lockedUntil, until)),
      ),
    )
}
export const copiesToLock = async (db: Executor, now: Date) => {
  const { until, where } = due(backupCopies.copyCompletedAt, now)
  return db
    .select({
      id: backupCopies.id,
      backupId: backupCopies.sourceBackupId,
      repositoryId: backupCopies.repositoryId,
      until: sql<Date>`${until}`.mapWith(backupJobs.completedAt),
    })
    .from(backupCopies)
    .innerJoin(backupJobs, eq(backupJobs.id, backupCopies.sourceBackupId))
    .innerJoin(backupRepositories, eq(backupRepositories.id, backupCopies.repositoryId))
    .where(
      and(
        where,
        eq(backupCopies.status, 'completed'),
        isNull(backupJobs.mergingInto),
        or(isNull(backupCopies.lockedUntil), lt(backupCopies.lockedUntil, until)),
      ),
    )
}
