/** A backup's disk, or a volume within it, as a block device of this host that the host itself mounts read-only; dirty journals are replayed in an overlay. */
import { mkdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostFilesystem } from '../../contract/settings.ts'
import type { AttachBackend, Attached, AttachRecord, AttachSource, OverlayUse } from '../attach/backend.ts'
import { unmount } from '../attach/mount-table.ts'
import { mapSome } from '../concurrency.ts'
import { program, run } from '../exec.ts'
import { openMounted, type VolumeReader } from '../files/volume-reader.ts'
import { type MountStep, mountByKernel } from '../volumes/kernel-mounts.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import { sectorOption } from '../volumes/partitions.ts'

/** What must be undone when the agent dies. */
export type DiskRecord = { mountPaths: string[]; attach: AttachRecord | null }

export type HostDiskOptions = {
  backend: AttachBackend
  /** Folder for what attaching needs; emptied by `close`. */
  runDir: string
  /** Folder that the volumes are mounted below. */
  root: string
  source: AttachSource
  /** Called whenever there is more to undo, before it is made. */
  record: (record: DiskRecord) => Promise<void>
}

/** `partition`: its number in the device's table, 0 is all of the device; `offsetBytes`: where it begins there. */
export type HostVolume = { number: number; partition: number; offsetBytes: number; filesystem: HostFilesystem }
export const pathOfVolume = (root: string, number: number) => join(root, `partition-${number}`)

/** By volume number. */
type Remedies = Map<number, 'replay' | 'new-id'>

/** More would only wait for the same disk. */
const mountsAtOnce = 4

export class HostDisk {
  readonly #options: HostDiskOptions
  #record: DiskRecord = { mountPaths: [], attach: null }
  #attached: Attached | undefined
  /** Of the mounted volumes, by their numbers. */
  readonly readers = new Map<number, VolumeReader>()
  readonly results = new Map<number, Mounted | NotMounted>()
  device: string | null = null

  constructor(options: HostDiskOptions) {
    this.#options = options
  }

  /** A file that reads as the disk does, until it is mounted. @throws CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async image(): Promise<string> {
    return (await this.#attach('none')).image
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
    const stepAfter = ({ number }: HostVolume): MountStep => {
      const remedy = remedies.get(number)
      if (remedy === undefined) return 'plain'
      if (failed.has(number)) return 'without-journal'
      return remedy === 'replay' ? 'replayed' : 'plain'
    }
    await this.#attach('replayed')
    await this.#mountAll(volumes, stepAfter)
  }

  async #attach(overlay: OverlayUse): Promise<Attached> {
    const { backend, runDir, source } = this.#options
    await mkdir(runDir, { recursive: true, mode: 0o700 })
    this.#attached = await backend.attach({ runDir, source, overlay }, (attach) => this.#remember({ attach }))
    return this.#attached
  }

  /** @returns what may help those that could not be mounted */
  async #mountAll(volumes: readonly HostVolume[], stepOf: (volume: HostVolume) => MountStep): Promise<Remedies> {
    const { image, device: attach } = this.#attached!
    const device = await attach()
    this.device = device
    // The kernel may not have read the table (no parser built in, or nobody to wait for); -u is the same on all of them.
    if (volumes.some(({ partition }) => partition > 0))
      await run(program.partx, ['-u', ...(await sectorOption(device)), '--', device], { okCodes: [0, 1] })
    await this.#remember({ mountPaths: volumes.map((volume) => this.#pathOf(volume)) })
    const remedies: Remedies = new Map()
    await mapSome(volumes, mountsAtOnce, async (volume) => {
      const { number, partition, offsetBytes, filesystem } = volume
      const path = this.#pathOf(volume)
      // loop0p1, nbd0p1: both ways of attaching give devices whose name ends with a digit.
      const part = partition === 0 ? device : `${device}p${partition}`
      const result = await mountByKernel(run, part, filesystem, path, stepOf(volume))
      this.results.set(number, result)
      // Read from the image: by way of the device, whose pages the kernel keeps, it takes five times as long.
      if (result.mounted) this.readers.set(number, await openMounted({ path, image, offsetBytes, number, filesystem }))
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

  #pathOf({ number }: HostVolume) {
    return pathOfVolume(this.#options.root, number)
  }

  async #remember(change: Partial<DiskRecord>) {
    this.#record = { ...this.#record, ...change }
    await this.#options.record(this.#record)
  }
}
