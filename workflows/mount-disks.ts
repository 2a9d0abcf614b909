/** Mounts one disk of a completed backup, or all of them, for browsing. The row is written first; on an error nothing is left. */
import { randomUUID } from 'node:crypto'
import type { MountState } from '../contract/agent.ts'
import type { Secret } from '../contract/api/restore.ts'
import { HubError } from '../contract/errors.ts'
import { isDuplicate } from '../db/database.ts'
import { contextOfBackup } from '../db/queries/backups.ts'
import {
  deleteMount,
  findMountOfDisk,
  insertMount,
  type MountWithBackup,
  storeMountState,
} from '../db/queries/mounts.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { withChainLock, withMountLock } from './locks.ts'
import { reconcileMounts } from './reconcile-mounts.ts'
import { fromPlaces, type Place, placesOf } from './restore-places.ts'
import { restorePoint } from './restore-point.ts'

type MountEnv = Env<'DB' | 'AGENT' | 'CLOCK' | 'SETTINGS'>
type Mounted = { row: MountWithBackup; state: MountState }

type Asked = {
  backupId: string
  /** Undefined: all of them. */
  diskIndex: number | undefined
  /** The one repository to read from; undefined: any. */
  repositoryId: string | undefined
  secrets: readonly Secret[]
}
/** As the agent takes them. */
const secretBytes = (secret: Secret): string =>
  'password' in secret ? Buffer.from(secret.password).toString('base64') : secret.key_file

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

/** @returns the disks in their order @throws BACKUP_NOT_FOUND, DISK_NOT_FOUND, BACKUP_NOT_COMPLETED */
const mountableDisks = async ({ DB }: MountEnv, { backupId, diskIndex }: Asked) => {
  const backup = await restorePoint(DB.orm, backupId)
  const all = backup.disks.toSorted((a, b) => a.diskIndex - b.diskIndex)
  const disks = diskIndex === undefined ? all : all.filter((row) => row.diskIndex === diskIndex)
  const [first] = disks
  if (!first) throw new HubError('DISK_NOT_FOUND', `The backup has no disk ${diskIndex ?? 'at all'}`)
  return { backup, disks, first }
}

/** From the first place that gives it. @throws what the first one said when none does */
const mountFrom = async (
  { AGENT }: MountEnv,
  mountId: string,
  vmName: string,
  places: readonly Place[],
  { secrets: given, diskIndex }: Asked,
): Promise<{ state: MountState; copyIn: string | null }> => {
  const body = { vm_name: vmName, guest_view: diskIndex === undefined, secrets: given.map(secretBytes) }
  const { result: state, place } = await fromPlaces(
    places,
    ({ chains }) => AGENT.ensureMount(mountId, { ...body, disks: chains }),
    () => AGENT.removeMount(mountId, 'failed'),
  )
  return { state, copyIn: place.copyIn }
}

/** @throws the codes of POST /restore/mount */
export const mountDisks = async (env: MountEnv, asked: Asked): Promise<Mounted> => {
  const { DB, AGENT, CLOCK, SETTINGS } = env
  const { backupId, repositoryId } = asked
  const finding = contextOfBackup(DB.orm, backupId)
  // Awaited under the lock, which it need not wait for.
  finding.catch(() => undefined)
  const mountId = randomUUID()

  return withMountLock(DB, mountId, async () => {
    const contextId = await finding
    if (contextId === undefined) throw backupNotFound(backupId)
    // Under the chain's lock, so that no deletion has looked for mounts before this one was there.
    const { places, row } = await withChainLock(DB, contextId, async () => {
      const { backup, disks, first } = await mountableDisks(env, asked)
      const places = await placesOf(env, backup, disks, repositoryId)
      const createdAt = CLOCK.now()
      const expiresAt = new Date(createdAt.getTime() + SETTINGS.mountIdleSeconds * 1000)
      const allDisks = asked.diskIndex === undefined
      const insert = () => insertMount(DB.orm, { id: mountId, backupDiskId: first.id, allDisks, createdAt, expiresAt })
      // A disk has one row at most: asking first would only make everybody wait.
      const mount = await insert().catch(async (error: unknown) => {
        if (!isDuplicate(error)) throw error
        const taken = await alreadyMounted(env, first.id)
        if (taken) throw taken
        return insert()
      })
      return { places, row: { mount, backupId, vmName: backup.job.vmName, diskIndex: first.diskIndex } }
    })
    try {
      const { state, copyIn } = await mountFrom(env, mountId, row.vmName, places, asked)
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
