/** Makes the files of restore points and copies in immutable repositories immutable. */
import { findBackup, updateBackup } from '../db/queries/backups.ts'
import { updateCopy } from '../db/queries/copies.ts'
import { backupsToLock, copiesToLock } from '../db/queries/file-locks.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { diskFileOf } from './chain-files.ts'

type LockEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** @param repositoryId of a copy; undefined: of the backup itself */
const lockDisks = async ({ DB, AGENT }: LockEnv, backupId: string, until: Date, repositoryId?: string) => {
  const backup = await findBackup(DB.orm, backupId)
  for (const disk of backup?.disks ?? []) {
    const file = diskFileOf(backup!.job, disk)
    await AGENT.lockFile({
      file: repositoryId === undefined ? file : { ...file, repository_id: repositoryId },
      until: until.toISOString(),
    })
  }
}

/** Locks what is due. What a storage does not let be locked now is tried again with the next round, and keeps no other from it. */
export const lockFiles = async (env: LockEnv): Promise<void> => {
  const { DB, CLOCK } = env
  const failures: unknown[] = []
  const attempt = (work: () => Promise<unknown>) => work().catch((error: unknown) => failures.push(error))
  for (const { id, until } of await backupsToLock(DB.orm, CLOCK.now()))
    await attempt(async () => {
      await lockDisks(env, id, until)
      await updateBackup(DB.orm, id, { lockedUntil: until })
    })
  for (const { id, backupId, repositoryId, until } of await copiesToLock(DB.orm, CLOCK.now()))
    await attempt(async () => {
      await lockDisks(env, backupId, until, repositoryId)
      await updateCopy(DB.orm, id, { lockedUntil: until })
    })
  // Logged by whoever runs the round.
  if (failures.length > 0) throw failures[0]
}
