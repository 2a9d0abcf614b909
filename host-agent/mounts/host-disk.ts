/** A backup's disk as a block device of this host, with volumes that the host itself mounts read-only; dirty journals are replayed in an overlay. */
import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostFilesystem } from '../../contract/settings.ts'
import type { AttachBackend, Attached, AttachRecord, OverlayUse } from '../attach/backend.ts'
import { unmount } from '../attach/mount-table.ts'
import { mapSome } from '../concurrency.ts'
import { program, run } from '../exec.ts'
import { openMounted, type VolumeReader } from '../files/volume-reader.ts'
import { type MountStep, mountOnHost } from '../volumes/host-mounts.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
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

export type HostVolume = Volume & { filesystem: HostFilesystem }
export const pathOfVolume = (root: string, number: number) => join(root, `partition-${number}`)

/** By volume number. */
type Remedies = Map<number, 'replay' | 'new-id'>

/** More would only wait for the same disk. */
const mountsAtOnce = 4

export class HostDisk {
  readonly #options: DiskToOpen
  #record: DiskRecord = { mountPaths: [], attach: null }
  #attached: Attached | undefined
  /** Of the mounted volumes, by their numbers. */
  readonly readers = new Map<number, VolumeReader>()
  readonly results = new Map<number, Mounted | NotMounted>()
  device: string | null = null

  constructor(options: DiskToOpen) {
    this.#options = options
  }

  /** What is on the disk. @throws CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async scan(): Promise<Volume[]> {
    const { image } = await this.#attach('none')
    return scanVolumes(run, image, this.#options.virtualSize)
  }

  /** Mounts what it can; `results` say what came of it. After a failure `close` frees what was made. @throws CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async mount(volumes: readonly HostVolume[]): Promise<void> {
    // First as it is: a clean disk needs no overlay.
    if (!this.#attached) await this.#attach('none')
    const remedies = await this.#mountAll(volumes, () => 'plain')
    if (remedies.size > 0) await this.#remedy(volumes, remedies)
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
  async #remedy(volumes: readonly HostVolume[], remedies: Remedies) {
    await this.#letGo()
    await this.#attach('replay')
    const failed = await this.#mountAll(
      volumes.filter(({ number }) => remedies.has(number)),
      ({ number }) => remedies.get(number)!,
    )
    await this.#letGo()
    const stepAfter = ({ number }: Volume): MountStep => {
      const remedy = remedies.get(number)
      if (remedy === undefined) return 'plain'
      if (failed.has(number)) return 'without-journal'
      return remedy === 'replay' ? 'replayed' : 'plain'
    }
    await this.#attach('replayed')
    await this.#mountAll(volumes, stepAfter)
  }

  async #attach(overlay: OverlayUse): Promise<Attached> {
    const { backend, runDir, chain, virtualSize } = this.#options
    this.#attached = await backend.attach({ runDir, chain, virtualSize, overlay }, (attach) =>
      this.#remember({ attach }),
    )
    return this.#attached
  }

  /** @returns what may help those that could not be mounted */
  async #mountAll(volumes: readonly HostVolume[], stepOf: (volume: Volume) => MountStep): Promise<Remedies> {
    const device = await this.#attached!.device()
    this.device = device
    // The kernel may not have read the table (no parser built in, or nobody to wait for); -u is the same on all of them.
    if (volumes.some(({ number }) => number > 0)) await run(program.partx, ['-u', '--', device], { okCodes: [0, 1] })
    await this.#remember({ mountPaths: volumes.map((volume) => this.#pathOf(volume)) })
    const remedies: Remedies = new Map()
    await mapSome(volumes, mountsAtOnce, async (volume) => {
      const { number, filesystem } = volume
      const path = this.#pathOf(volume)
      // loop0p1, nbd0p1: both ways of attaching give devices whose name ends with a digit.
      const part = number === 0 ? device : `${device}p${number}`
      const result = await mountOnHost(part, filesystem, path, stepOf(volume))
      this.results.set(number, result)
      if (result.mounted) this.readers.set(number, await openMounted(path, number))
      else if (result.remedy) remedies.set(number, result.remedy)
    })
    return remedies
  }

  async #letGo() {
    for (const reader of this.readers.values()) await reader.close()
    this.readers.clear()
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
    return pathOfVolume(this.#options.root, number)
  }

  async #remember(change: Partial<DiskRecord>) {
    this.#record = { ...this.#record, ...change }
    await this.#options.record(this.#record)
  }
}
