/** Marks a restore point as one that no retention and no deletion takes. */
import type { Database } from '../db/database.ts'
import { type JobWithDisks, updateBackup } from '../db/queries/backups.ts'
import { withChainLock } from './locks.ts'
import { restorePoint } from './restore-point.ts'

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED */
export const setProtection = async (db: Database, backupId: string, isProtected: boolean): Promise<JobWithDisks> => {
  const { job } = await restorePoint(db.orm, backupId)
  // Under the chain's lock: no retention has decided before and merges it after.
  return withChainLock(db, job.vmBackupContextId, async () => {
    const { job, disks } = await restorePoint(db.orm, backupId)
    await updateBackup(db.orm, backupId, { isProtected })
    return { job: { ...job, isProtected }, disks }
  })
}
