/** Calls the agent about a mount, and says rightly when that mount is not ready or has ended. */
import { HubError } from '../contract/errors.ts'
import { endMount as endMountRow } from '../db/queries/mounts.ts'
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

/**
 * The agent is asked at once: it knows best what is mounted. Our rows are asked why, when it knows nothing of the mount.
 * @throws MOUNT_NOT_FOUND, MOUNT_EXPIRED, MOUNT_NOT_READY, and what `work` throws
 */
export const useMount = async <T>(
  { DB, AGENT, CLOCK }: Env<'DB' | 'AGENT' | 'CLOCK'>,
  mountId: string,
  work: () => Promise<T>,
): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'MOUNT_NOT_FOUND') throw error
    const row = await liveMount(DB.orm, mountId)
    const { mounts, ended } = await AGENT.listMounts()
    // It may have become ready since it was asked for.
    if (row.mount.status === 'mounting' || mounts.some(({ mount_id }) => mount_id === mountId))
      throw new HubError('MOUNT_NOT_READY', 'The mount is not ready yet', { details: 'try again in a second' })
    // The agent ended it by itself; the row follows.
    const reason = ended.find(({ mount_id }) => mount_id === mountId)?.reason ?? 'expired'
    await DB.transaction((tx) => endMountRow(tx, row, reason, CLOCK.now()))
    throw await mountGone(DB.orm, mountId)
  }
}
