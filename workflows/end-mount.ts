/** Ends a mount: the agent frees everything, then the row moves to the history. */
import type { MountEndReason } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { endMount as endMountRow, findMount, type MountWithBackup, wasMount } from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { withMountLock } from './locks.ts'

/** MOUNT_EXPIRED when it is known to have ended, else MOUNT_NOT_FOUND. */
export const mountGone = async (db: Executor, mountId: string): Promise<HubError> =>
  (await wasMount(db, mountId))
    ? new HubError('MOUNT_EXPIRED', 'The mount has ended', { details: 'mount the backup again' })
    : new HubError('MOUNT_NOT_FOUND', 'There is no such mount')

export const endMount = (
  { DB, AGENT, CLOCK }: Env<'DB' | 'AGENT' | 'CLOCK'>,
  mount: MountWithBackup,
  reason: MountEndReason,
): Promise<void> =>
  withMountLock(DB, mount.mount.id, async () => {
    await AGENT.removeMount(mount.mount.id, reason)
    await DB.transaction((tx) => endMountRow(tx, mount, reason, CLOCK.now()))
  })

/** @throws MOUNT_NOT_FOUND, MOUNT_EXPIRED */
export const liveMount = async (db: Executor, mountId: string): Promise<MountWithBackup> => {
  const found = await findMount(db, mountId)
  if (!found) throw await mountGone(db, mountId)
  return found
}
