/** Calls the agent about a mount, and says rightly when that mount is not ready or has ended. */
import { HubError } from '../contract/errors.ts'
import { endMount as endMountRow, type MountWithBackup } from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { liveMount, mountGone } from './end-mount.ts'

/** What any call about a file of a mount can answer. */
export const guestPathErrors = [
  'MOUNT_NOT_FOUND',
  'MOUNT_EXPIRED',
  'MOUNT_NOT_READY',
  'PARTITION_NOT_FOUND',
  'FILE_NOT_FOUND',
  'PATH_INVALID',
  'PATH_FORBIDDEN',
] as const

/** @throws MOUNT_NOT_FOUND, MOUNT_EXPIRED, MOUNT_NOT_READY, and what `work` throws */
export const useMount = async <T>(
  { DB, AGENT, CLOCK }: Env<'DB' | 'AGENT' | 'CLOCK'>,
  mountId: string,
  work: (mount: MountWithBackup) => Promise<T>,
): Promise<T> => {
  const mount = await liveMount(DB.orm, mountId)
  if (mount.mount.status === 'mounting')
    throw new HubError('MOUNT_NOT_READY', 'The mount is not ready yet', { details: 'try again in a second' })
  try {
    return await work(mount)
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'MOUNT_NOT_FOUND') throw error
    // The agent ended it by itself; the row follows.
    const { ended } = await AGENT.listMounts()
    const reason = ended.find(({ mount_id }) => mount_id === mountId)?.reason ?? 'expired'
    await DB.transaction((tx) => endMountRow(tx, mount, reason, CLOCK.now()))
    throw await mountGone(DB.orm, mountId)
  }
}
