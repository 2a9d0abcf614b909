/** A backup's disk on this host: attached, its volumes found and mounted read-only, dirty journals replayed in an overlay. */
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import type { AttachBackend, Attached, AttachRecord, OverlayUse } from '../attach/backend.ts'
import { unmount } from '../attach/mount-table.ts'
import { mapSome } from '../concurrency.ts'
import { openRoot, type PartitionRoot } from '../files/resolve.ts'
import { type MountStep, mountVolume, refusal } from '../volumes/filesystems.ts'
import { scanVolumes, type Volume } from '../volumes/partitions.ts'

/** What must be undone when the agent dies. */
export type DiskRecord = { mountPaths: string[]; attach: AttachRecord | null }

export type DiskToOpen = {
  backend: AttachBackend
  /** Folder for what attaching needs; there already, emptied by `close`. */
  runDir: string
  /** Folder that the volumes are mounted below. */
  root: string
  /** Absolute paths of the chain, newest first. */
  chain: readonly string[]
  virtualSize: number
  /** Called whenever there is more to undo, before it is made. */
  record: (record: DiskRecord) => Promise<void>
}

/** By partition number. */
type Remedies = Map<number, 'replay' | 'new-id'>

const userRoles = new Set(['data', 'unknown', 'lvm'])
/** More would only wait for the same disk. */
const mountsAtOnce = 4

export class OpenDisk {
  readonly #options: DiskToOpen
  #record: DiskRecord = { mountPaths: [], attach: null }
  #attached: Attached | undefined
  #partitions: Partition[] = []
  /** Roots of the mounted volumes, by partition number. */
  readonly roots = new Map<number, PartitionRoot>()
  device: string | null = null
  defaultPartition: number | null = null

  constructor(options: DiskToOpen) {
    this.#options = options
  }

  /** In the order of their numbers. */
  get partitions(): Partition[] {
    return this.#partitions
  }

  /** After a failure `close` frees what was made. @throws NO_MOUNTABLE_FILESYSTEM, CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async open(): Promise<void> {
    // First as it is: a clean disk needs no overlay.
    const remedies = await this.#mountAll(await this.#attach('none'), () => 'plain')
    if (remedies.size > 0) await this.#remedy(remedies)
    this.#pickDefault()
    if (this.defaultPartition === null)
      throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No partition of this disk can be mounted', {
        details: this.#partitions
          .map(({ number, reason }) => `partition ${number}: ${reason}`)
          .join('; ')
          .slice(0, 1000),
        extra: { partitions: this.#partitions },
      })
  }

  /** Filesystems, device, overlay: in this order, each step repeatable. */
  async close(): Promise<void> {
    await this.#letGo()
    await rm(this.#options.runDir, { recursive: true, force: true })
  }

  /**
   * Does in an overlay what some volumes need to be mounted (their journals replayed, say), and opens the disk again with that
   * overlay below it: read-only, so that it reads with direct I/O. What could not be helped is mounted without its journal.
   */
  async #remedy(remedies: Remedies) {
    await this.#letGo()
    const before = await this.#attach('replay')
    const failed = await this.#mountAll(
      before.filter(({ number }) => remedies.has(number)),
      ({ number }) => remedies.get(number)!,
    )
    await this.#letGo()
    const stepAfter = ({ number }: Volume): MountStep => {
      const remedy = remedies.get(number)
      if (remedy === undefined) return 'plain'
      if (failed.has(number)) return 'without-journal'
      return remedy === 'replay' ? 'replayed' : 'plain'
    }
    await this.#mountAll(await this.#attach('replayed'), stepAfter)
  }

  async #attach(overlay: OverlayUse): Promise<Volume[]> {
    const { backend, runDir, chain, virtualSize } = this.#options
    this.#attached = await backend.attach({ runDir, chain, virtualSize, overlay }, (attach) =>
      this.#remember({ attach }),
    )
    const { image, device } = this.#attached
    const volumes = await scanVolumes(image, device, virtualSize)
    this.device = await device()
    return volumes
  }

  /** @returns what may help those that could not be mounted */
  async #mountAll(volumes: readonly Volume[], stepOf: (volume: Volume) => MountStep): Promise<Remedies> {
    await this.#remember({ mountPaths: volumes.map((volume) => this.#pathOf(volume)) })
    const remedies: Remedies = new Map()
    this.#partitions = await mapSome(volumes, mountsAtOnce, async (volume) => {
      const path = this.#pathOf(volume)
      const refused = await refusal(volume)
      const result =
        refused === undefined
          ? await mountVolume(volume, path, stepOf(volume))
          : { mounted: false as const, reason: refused, remedy: null }
      if (result.mounted) this.roots.set(volume.number, await openRoot(path))
      else if (result.remedy) remedies.set(volume.number, result.remedy)
      return {
        number: volume.number,
        name: volume.name,
        kind: volume.kind,
        size_bytes: volume.sizeBytes,
        filesystem: volume.filesystem,
        label: volume.label,
        type: volume.role,
        mounted: result.mounted,
        mount_path: result.mounted ? path : null,
        is_default: false,
        reason: result.mounted ? null : result.reason,
        journal: result.mounted ? result.journal : null,
      }
    })
    return remedies
  }

  /** The largest that holds user data; if none does, the largest. */
  #pickDefault() {
    const mounted = this.#partitions.filter((partition) => partition.mounted)
    const user = mounted.filter(({ type }) => userRoles.has(type ?? 'unknown'))
    const best = (user.length > 0 ? user : mounted).toSorted((a, b) => b.size_bytes - a.size_bytes)[0]
    if (best) best.is_default = true
    this.defaultPartition = best?.number ?? null
  }

  async #letGo() {
    for (const { handle } of this.roots.values()) await handle.close()
    this.roots.clear()
    for (const path of this.#record.mountPaths) {
      await unmount(path)
      await rmdir(path).catch(() => undefined)
    }
    if (this.#attached) await this.#attached.detach()
    // Attaching itself failed, and may have left something.
    else if (this.#record.attach) await this.#options.backend.undo(this.#record.attach)
    this.#attached = undefined
    this.device = null
    await this.#remember({ mountPaths: [], attach: null })
  }

  #pathOf({ number }: Volume) {
    return join(this.#options.root, `partition-${number}`)
  }

  async #remember(change: Partial<DiskRecord>) {
    this.#record = { ...this.#record, ...change }
    await this.#options.record(this.#record)
  }
}
