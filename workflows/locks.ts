/** Names of the database locks. One lock at a time, except that a chain's holder may take a job's: always in this order. */
import type { Database } from '../db/database.ts'

/** Start, delete and retention of one VM in one repository. */
export const withChainLock = <T>(db: Database, vmBackupContextId: string, work: () => Promise<T>): Promise<T> =>
  db.withLock(`chain ${vmBackupContextId}`, 60, work)

/** For those who come by to look: when somebody else is at the chain, they leave it to them. */
export const ifChainIdle = <T>(
  db: Database,
  vmBackupContextId: string,
  work: () => Promise<T>,
): Promise<T | undefined> => db.withLock<T | undefined>(`chain ${vmBackupContextId}`, 0, work, () => undefined)

/** Starting, completing and failing of one job. */
export const withJobLock = <T>(db: Database, backupId: string, work: () => Promise<T>): Promise<T> =>
  db.withLock(`job ${backupId}`, 120, work)

/** For those who come by to look: when somebody else is at the job, they leave it to them. */
export const ifJobIdle = <T>(db: Database, backupId: string, work: () => Promise<T>): Promise<T | undefined> =>
  db.withLock<T | undefined>(`job ${backupId}`, 0, work, () => undefined)

/** Mounting and unmounting of one mount. */
export const withMountLock = <T>(db: Database, mountId: string, work: () => Promise<T>): Promise<T> =>
  db.withLock(`mount ${mountId}`, 200, work)
export const ifMountIdle = <T>(db: Database, mountId: string, work: () => Promise<T>): Promise<T | undefined> =>
  db.withLock<T | undefined>(`mount ${mountId}`, 0, work, () => undefined)
