/** A backup that can be restored, checked, copied or healed. */
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findBackup, type JobWithDisks } from '../db/queries/backups.ts'

/** @throws BACKUP_NOT_FOUND, BACKUP_NOT_COMPLETED */
export const restorePoint = async (db: Executor, backupId: string): Promise<JobWithDisks> => {
  const backup = await findBackup(db, backupId)
  if (!backup)
    throw new HubError('BACKUP_NOT_FOUND', 'Backup not found', { details: `no backup ${backupId}`.slice(0, 200) })
  const { status, mergingInto } = backup.job
  if (status !== 'completed' || mergingInto !== null)
    throw new HubError('BACKUP_NOT_COMPLETED', 'The backup is not completed', {
      details: mergingInto === null ? `it is ${status}` : `no rule keeps it: it is being merged into ${mergingInto}`,
    })
  return backup
}
