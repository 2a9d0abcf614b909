/** A backup's disk in a sandbox: shown there by QEMU, its volumes found, and those mounted that have a driver. Nothing of it is seen on the host. */
import { type FileHandle, open } from 'node:fs/promises'
import { createOverlay, overlayBytesMax, overlayName } from '../attach/overlay.ts'
import type { StorageDaemon } from '../attach/storage-daemon.ts'
import { mapSome } from '../concurrency.ts'
import { firstHandedFd } from '../exec.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import { inside } from '../sandbox/protocol.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import { outsideOfDisk, type Volume } from '../volumes/partitions.ts'

export type DriverVolume = Volume & { filesystem: string }
/** More would only wait for the same disk. */
const mountsAtOnce = 4

/** Opens a chain for somebody who can enter none of its folders. Sealed files everybody may read who gets at them. */
const openForAll = async (paths: readonly string[]): Promise<FileHandle[]> => {
  const handles: FileHandle[] = []
  try {
    for (const path of paths) {
      const handle = await open(path, 'r')
      handles.push(handle)
      const { mode } = await handle.stat()
      if ((mode & 0o444) !== 0o444) await handle.chmod((mode & 0o7777) | 0o444)
    }
    return handles
  } catch (error) {
    for (const handle of handles) await handle.close()
    throw error
  }
}

export class SandboxDisk {
  readonly #sandbox: Sandbox
  readonly #chain: readonly string[]
  readonly #virtualSize: number
  #qemu: StorageDaemon | undefined
  /** Made when the first volume needs it. */
  #overlay: Promise<unknown> | undefined
  readonly readers = new Map<number, VolumeReader>()
  readonly results = new Map<number, Mounted | NotMounted>()

  constructor(sandbox: Sandbox, options: { chain: readonly string[]; virtualSize: number }) {
    this.#sandbox = sandbox
    this.#chain = options.chain
    this.#virtualSize = options.virtualSize
  }

  /** Resolves with the reason when it can be read no more. */
  get ended(): Promise<string> {
    return this.#sandbox.ended
  }

  /** What is on the disk. @throws CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async scan(): Promise<Volume[]> {
    const handles = await openForAll(this.#chain)
    try {
      const fds = handles.map(({ fd }) => fd)
      this.#qemu = await this.#sandbox.startStorageDaemon(fds, overlayBytesMax)
      const handed = handles.map((_, at) => `/proc/self/fd/${firstHandedFd + at}`)
      await this.#qemu.show({ ...chainNode(handed, true), 'node-name': 'disk' }, inside.disk, false)
    } finally {
      for (const handle of handles) await handle.close()
    }
    return this.#sandbox.reader.scan(this.#virtualSize)
  }

  /** Mounts what it can; `results` say what came of it. */
  async mount(volumes: readonly DriverVolume[], all: readonly Volume[]): Promise<void> {
    await mapSome(volumes, mountsAtOnce, async (volume) => {
      const refused = outsideOfDisk(volume, all, this.#virtualSize)
      const result: Mounted | NotMounted =
        refused === undefined ? await this.#mountOne(volume) : { mounted: false, reason: refused, remedy: null }
      this.results.set(volume.number, result)
      if (result.mounted) this.readers.set(volume.number, this.#sandbox.reader.volume(volume.number))
    })
  }

  async close(): Promise<void> {
    await this.#sandbox.close()
    await this.#qemu?.process.stop(0)
  }

  async #mountOne({ number, kind, offsetBytes, sizeBytes, filesystem }: DriverVolume): Promise<Mounted | NotMounted> {
    const { reader } = this.#sandbox
    const piece = (node: string) =>
      kind === 'whole_disk' ? { file: node } : { file: node, offset: offsetBytes, size: sizeBytes }
    let image: string = inside.disk
    if (kind === 'partition') {
      image = inside.image(number)
      await reader.prepare([image])
      await this.#qemu!.show(
        { driver: 'raw', 'node-name': `volume-${number}`, 'read-only': true, ...piece('disk') },
        image,
        false,
      )
    }
    const first = await reader.open({ volume: number, filesystem, image, step: 'plain' })
    if (first.mounted || first.remedy === null) return first
    // Beside the backup, never in it.
    this.#overlay ??= this.#makeOverlay()
    await this.#overlay
    const writable = inside.writableImage(number)
    await reader.prepare([writable])
    await this.#qemu!.show({ driver: 'raw', 'node-name': `writable-${number}`, ...piece('overlay') }, writable, true)
    const second = await reader.open({ volume: number, filesystem, image: writable, step: 'replay' })
    return second.mounted ? second : reader.open({ volume: number, filesystem, image, step: 'without-journal' })
  }

  async #makeOverlay() {
    const { shared } = this.#sandbox
    const path = await createOverlay({ runDir: shared, chain: this.#chain, virtualSize: this.#virtualSize })
    await this.#sandbox.give(path)
    await this.#qemu!.add({
      driver: 'qcow2',
      'node-name': 'overlay',
      file: { driver: 'file', filename: `${inside.shared}/${overlayName}` },
      backing: 'disk',
      discard: 'unmap',
    })
  }
}
