/** Restore points that go into those that build on them. */
import { and, asc, eq, inArray, isNotNull, isNull } from 'drizzle-orm'
import { alias } from 'drizzle-orm/mysql-core'
import type { Executor } from '../database.ts'
import { backupDisks } from '../schema/backup-disks.ts'
import { backupCopies, backupHeals, backupJobs, restoreMounts } from '../schema/index.ts'
import { type JobRow, updateBackup } from './backups.ts'

/** The phase of a backup that is being merged into another one. */
const mergingPhase = 'merging'

export const markMerging = (tx: Executor, id: string, into: string) =>
  updateBackup(tx, id, { mergingInto: into, currentPhase: mergingPhase, cleanupPending: false })

/** Whether a backup is being merged away. */
export const isMerging = async (db: Executor, id: string): Promise<boolean> =>
  (
    await db
      .select({ id: backupJobs.id })
      .from(backupJobs)
      .where(and(eq(backupJobs.id, id), isNotNull(backupJobs.mergingInto)))
  ).length > 0

/** Those that nothing older has to be merged into first; oldest first. */
export const nextMerges = async (db: Executor): Promise<JobRow[]> => {
  const parent = alias(backupJobs, 'parent')
  return (
    await db
      .select({ job: backupJobs })
      .from(backupJobs)
      .leftJoin(parent, eq(parent.id, backupJobs.parentBackupId))
      .where(and(isNotNull(backupJobs.mergingInto), isNull(parent.mergingInto)))
      .orderBy(asc(backupJobs.createdAt), asc(backupJobs.id))
  ).map(({ job }) => job)
}

/** What is to be merged into one of these. */
export const mergingInto = async (db: Executor, ids: string[]): Promise<JobRow[]> =>
  ids.length === 0 ? [] : db.select().from(backupJobs).where(inArray(backupJobs.mergingInto, ids))

/** Whether a restore point of a VM in a repository is mounted. */
export const isContextMounted = async (db: Executor, vmBackupContextId: string): Promise<boolean> =>
  (
    await db
      .select({ id: restoreMounts.id })
      .from(restoreMounts)
      .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
      .where(eq(backupDisks.vmBackupContextId, vmBackupContextId))
      .limit(1)
  ).length > 0

/** Whether files of a VM in a repository, or copies of them, are being copied or healed. */
export const isContextCopied = async (db: Executor, vmBackupContextId: string): Promise<boolean> => {
  const ofContext = eq(backupJobs.vmBackupContextId, vmBackupContextId)
  const [heals, copies] = await Promise.all([
    db
      .select({ id: backupHeals.backupJobId })
      .from(backupHeals)
      .innerJoin(backupJobs, eq(backupJobs.id, backupHeals.backupJobId))
      .where(ofContext)
      .limit(1),
    db
      .select({ id: backupCopies.id })
      .from(backupCopies)
      .innerJoin(backupJobs, eq(backupJobs.id, backupCopies.sourceBackupId))
      .where(and(ofContext, inArray(backupCopies.status, ['copying', 'verifying'])))
      .limit(1),
  ])
  return heals.length + copies.length > 0
}
