/** Mounts one disk of a completed backup for browsing. The row is written first; on an error nothing is left. */
import { randomUUID } from 'node:crypto'
import type { MountState } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { isDuplicate } from '../db/database.ts'
import { contextOfBackup, findBackup, type JobWithDisks } from '../db/queries/backups.ts'
import {
  deleteMount,
  findMountOfDisk,
  insertMount,
  type MountWithBackup,
  storeMountState,
} from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, isWhole } from './chain-files.ts'
import { withChainLock, withMountLock } from './locks.ts'
import { reconcileMounts } from './reconcile-mounts.ts'

type MountEnv = Env<'DB' | 'AGENT' | 'CLOCK' | 'SETTINGS'>
export type MountedDisk = { row: MountWithBackup; state: MountState }

/** What keeps a disk from being mounted again; a mount that has ended by itself does not. */
const alreadyMounted = async (env: MountEnv, diskRowId: number): Promise<HubError | undefined> => {
  const { DB, AGENT } = env
  const row = await findMountOfDisk(DB.orm, diskRowId)
  if (!row) return undefined
  const state = await AGENT.getMount(row.id).catch(() => undefined)
  if (!state) {
    await reconcileMounts(env)
    if (!(await findMountOfDisk(DB.orm, diskRowId))) return undefined
  }
  return new HubError('DISK_ALREADY_MOUNTED', 'This disk is mounted already', {
    details: 'use that mount, or end it first',
    extra: {
      mount_id: row.id,
      expires_at: state?.expires_at ?? (row.expiresAt ?? row.createdAt).toISOString(),
      status: row.status,
    },
  })
}

const backupNotFound = (backupId: string) =>
  new HubError('BACKUP_NOT_FOUND', 'Backup not found', { details: `no backup ${backupId}`.slice(0, 200) })

/** @throws BACKUP_NOT_FOUND, DISK_NOT_FOUND, BACKUP_NOT_COMPLETED, CHAIN_BROKEN */
const mountableChain = async ({ DB }: MountEnv, backupId: string, diskIndex: number) => {
  const backup = await findBackup(DB.orm, backupId)
  if (!backup) throw backupNotFound(backupId)
  const disk = backup.disks.find((row) => row.diskIndex === diskIndex)
  if (!disk) throw new HubError('DISK_NOT_FOUND', `The backup has no disk ${diskIndex}`)
  if (backup.job.status !== 'completed')
    throw new HubError('BACKUP_NOT_COMPLETED', 'The backup is not completed', { details: `it is ${backup.job.status}` })
  const chain: JobWithDisks[] = await chainOf(DB.orm, backup)
  if (!isWhole(chain))
    throw new HubError('CHAIN_BROKEN', 'This backup, or one that it builds on, is missing or damaged', {
      details: 'GET /backups/{backup_id} names what is damaged',
    })
  return { backup, disk, chain: diskChainOf(chain, diskIndex) }
}

/** @throws the codes of POST /restore/mount */
export const mountDisk = async (env: MountEnv, backupId: string, diskIndex: number): Promise<MountedDisk> => {
  const { DB, AGENT, CLOCK, SETTINGS } = env
  const finding = contextOfBackup(DB.orm, backupId)
  // Awaited under the lock, which it need not wait for.
  finding.catch(() => undefined)
  const mountId = randomUUID()

  return withMountLock(DB, mountId, async () => {
    const contextId = await finding
    if (contextId === undefined) throw backupNotFound(backupId)
    // Under the chain's lock, so that no deletion has looked for mounts before this one was there.
    const { chain, row } = await withChainLock(DB, contextId, async () => {
      const { backup, disk, chain } = await mountableChain(env, backupId, diskIndex)
      const createdAt = CLOCK.now()
      const expiresAt = new Date(createdAt.getTime() + SETTINGS.mountIdleSeconds * 1000)
      const insert = () => insertMount(DB.orm, { id: mountId, backupDiskId: disk.id, createdAt, expiresAt })
      // A disk has one row at most: asking first would only make everybody wait.
      const mount = await insert().catch(async (error: unknown) => {
        if (!isDuplicate(error)) throw error
        const taken = await alreadyMounted(env, disk.id)
        if (taken) throw taken
        return insert()
      })
      return { chain, row: { mount, backupId, vmName: backup.job.vmName, diskIndex } }
    })
    try {
      const state = await AGENT.ensureMount(mountId, { ...chain, vm_name: row.vmName })
      await storeMountState(DB.orm, mountId, state)
      return { row, state }
    } catch (error) {
      await AGENT.removeMount(mountId, 'failed').catch(() => undefined)
      await deleteMount(DB.orm, mountId)
      throw error
    }
  })
}
