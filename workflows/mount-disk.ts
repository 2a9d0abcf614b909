/** Mounts one disk of a completed backup for browsing. The row is written first; on an error nothing is left. */
import { randomUUID } from 'node:crypto'
import type { DiskChain, MountState } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { isDuplicate } from '../db/database.ts'
import { contextOfBackup, type JobWithDisks } from '../db/queries/backups.ts'
import {
  deleteMount,
  findMountOfDisk,
  insertMount,
  type MountWithBackup,
  storeMountState,
} from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, isWhole, placesOfCopies } from './chain-files.ts'
import { withChainLock, withMountLock } from './locks.ts'
import { reconcileMounts } from './reconcile-mounts.ts'
import { restorePoint } from './restore-point.ts'

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

/** Where a disk can be read: its own repository as long as nothing is known to be wrong there, then its copies. */
type Place = { chain: DiskChain; copyIn: string | null }

/** @param wanted the one repository to read from; undefined: any @throws CHAIN_BROKEN, COPY_NOT_FOUND */
const placesOf = async (
  { DB }: MountEnv,
  backup: JobWithDisks,
  diskIndex: number,
  wanted: string | undefined,
): Promise<Place[]> => {
  const chain = await chainOf(DB.orm, backup)
  const own = diskChainOf(chain, diskIndex)
  const isOwnWanted = wanted === undefined || wanted === backup.job.repositoryId
  const isComplete = chain.at(-1)?.job.backupType === 'full'
  const places: Place[] = isOwnWanted && isWhole(chain) ? [{ chain: own, copyIn: null }] : []
  for (const repositoryId of isComplete ? await placesOfCopies({ DB }, chain) : [])
    if (wanted === undefined || wanted === repositoryId)
      places.push({ chain: { ...own, repository_id: repositoryId }, copyIn: repositoryId })
  if (places.length > 0) return places
  if (!isOwnWanted) throw new HubError('COPY_NOT_FOUND', 'This repository holds no complete copy of the backup')
  throw new HubError('CHAIN_BROKEN', 'This backup, or one that it builds on, is missing or damaged', {
    details: 'GET /backups/{backup_id} names what is damaged',
  })
}

/** @throws BACKUP_NOT_FOUND, DISK_NOT_FOUND, BACKUP_NOT_COMPLETED */
const mountableDisk = async ({ DB }: MountEnv, backupId: string, diskIndex: number) => {
  const backup = await restorePoint(DB.orm, backupId)
  const disk = backup.disks.find((row) => row.diskIndex === diskIndex)
  if (!disk) throw new HubError('DISK_NOT_FOUND', `The backup has no disk ${diskIndex}`)
  return { backup, disk }
}

/** What says that a place holds no such disk any more, but not that another one does not. */
const isGone = (error: unknown) =>
  error instanceof HubError && ['CHAIN_BROKEN', 'REPOSITORY_NOT_FOUND', 'SERVICE_UNAVAILABLE'].includes(error.code)

/** From the first place that gives it. @throws what the first one said when none does */
const mountFrom = async (
  { AGENT }: MountEnv,
  mountId: string,
  vmName: string,
  places: readonly Place[],
): Promise<{ state: MountState; copyIn: string | null }> => {
  let first: unknown
  for (const { chain, copyIn } of places)
    try {
      return { state: await AGENT.ensureMount(mountId, { vm_name: vmName, disks: [chain] }), copyIn }
    } catch (error) {
      first ??= error
      if (!isGone(error)) throw error
      await AGENT.removeMount(mountId, 'failed')
    }
  throw first
}

/** @throws the codes of POST /restore/mount */
export const mountDisk = async (
  env: MountEnv,
  backupId: string,
  diskIndex: number,
  repositoryId?: string,
): Promise<MountedDisk> => {
  const { DB, AGENT, CLOCK, SETTINGS } = env
  const finding = contextOfBackup(DB.orm, backupId)
  // Awaited under the lock, which it need not wait for.
  finding.catch(() => undefined)
  const mountId = randomUUID()

  return withMountLock(DB, mountId, async () => {
    const contextId = await finding
    if (contextId === undefined) throw backupNotFound(backupId)
    // Under the chain's lock, so that no deletion has looked for mounts before this one was there.
    const { places, row } = await withChainLock(DB, contextId, async () => {
      const { backup, disk } = await mountableDisk(env, backupId, diskIndex)
      const places = await placesOf(env, backup, diskIndex, repositoryId)
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
      return { places, row: { mount, backupId, vmName: backup.job.vmName, diskIndex } }
    })
    try {
      const { state, copyIn } = await mountFrom(env, mountId, row.vmName, places)
      await storeMountState(DB.orm, mountId, state, copyIn)
      row.mount.repositoryId = copyIn
      return { row, state }
    } catch (error) {
      await AGENT.removeMount(mountId, 'failed').catch(() => undefined)
      await deleteMount(DB.orm, mountId)
      throw error
    }
  })
}
