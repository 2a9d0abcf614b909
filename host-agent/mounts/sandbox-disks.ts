/** A backup's disks in a sandbox: shown there by QEMU, their volumes found, and those mounted that have a driver. Nothing of it is seen on the host. */
import { join } from 'node:path'
import { createOverlay, nbdNode, overlayBytesMax } from '../attach/overlay.ts'
import type { StorageDaemon } from '../attach/storage-daemon.ts'
import { mapSome } from '../concurrency.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import { closeAll, openForAll } from '../handed-files.ts'
import { handedPath } from '../run-tool.ts'
import { inside } from '../sandbox/protocol.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import { outsideOfDisks, type Volume } from '../volumes/volume.ts'
import type { DiskToOpen } from './mounted-disks.ts'

export type DriverVolume = Volume & { filesystem: string }
/** A volume as QEMU has it: the node, who has it, and the file that shows it. */
type Shown = { qemu: StorageDaemon; node: string; image: string }
/** More would only wait for the same disk. */
const mountsAtOnce = 4

const nodeOfDisk = (at: number) => `disk-${at}`

export class SandboxDisks {
  readonly #sandbox: Sandbox
  readonly #disks: readonly DiskToOpen[]
  #qemu: StorageDaemon | undefined
  /** Another one for volumes that the reader puts together: it reads the first one's files, which must not wait for itself. Made when the first needs it. */
  #upper: Promise<StorageDaemon> | undefined
  readonly readers = new Map<number, VolumeReader>()
  readonly results = new Map<number, Mounted | NotMounted>()

  constructor(sandbox: Sandbox, disks: readonly DiskToOpen[]) {
    this.#sandbox = sandbox
    this.#disks = disks
  }

  /** Resolves with the reason when they can be read no more. */
  get ended(): Promise<string> {
    return this.#sandbox.ended
  }
  /** The socket, as the host sees it, at which the reader gives volumes that it puts together. */
  get blocksSocket(): string {
    return join(this.#sandbox.shared, inside.blocks)
  }

  /** What is on the disks. @param secrets as base64 @throws CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async scan(secrets: string[]): Promise<Volume[]> {
    const handles = await openForAll(this.#disks.flatMap(({ chain }) => chain))
    const { reader } = this.#sandbox
    try {
      this.#qemu = await this.#sandbox.startStorageDaemon(
        handles.map(({ fd }) => fd),
        overlayBytesMax,
      )
      await reader.prepare(this.#disks.map((_, at) => inside.disk(at)))
      let file = 0
      for (const [at, { chain }] of this.#disks.entries()) {
        const handed = chain.map(() => handedPath(file++))
        const node = { ...chainNode(handed, true), 'node-name': nodeOfDisk(at) }
        await this.#qemu.show(node, inside.disk(at), false)
      }
    } finally {
      await closeAll(handles)
    }
    return reader.scan({ sizesBytes: this.#disks.map(({ virtualSize }) => virtualSize), secrets })
  }

  /** Mounts what it can; `results` say what came of it. */
  async mount(volumes: readonly DriverVolume[], all: readonly Volume[]): Promise<void> {
    await mapSome(volumes, mountsAtOnce, async (volume) => {
      const refused = outsideOfDisks(volume, all, this.#disks)
      const result: Mounted | NotMounted =
        refused === undefined ? await this.#mountOne(volume) : { mounted: false, reason: refused, remedy: null }
      this.results.set(volume.number, result)
      if (result.mounted) this.readers.set(volume.number, this.#sandbox.reader.volume(volume.number))
    })
  }

  async close(): Promise<void> {
    await this.#sandbox.close()
    await this.#qemu?.process.stop(0)
    await (await this.#upper?.catch(() => undefined))?.process.stop(0)
  }

  async #mountOne(volume: DriverVolume): Promise<Mounted | NotMounted> {
    const { reader } = this.#sandbox
    const { number, filesystem } = volume
    const shown = await this.#show(volume)
    const plain = { volume: number, filesystem, image: shown.image }
    const first = await reader.open({ ...plain, step: 'plain' })
    if (first.mounted || first.remedy === null) return first
    const image = await this.#showWritable(volume, shown)
    const second = await reader.open({ volume: number, filesystem, image, step: 'replay' })
    return second.mounted ? second : reader.open({ ...plain, step: 'without-journal' })
  }

  async #show(volume: DriverVolume): Promise<Shown> {
    const { number, piece, sizeBytes, kind } = volume
    if (piece && kind === 'whole_disk')
      return { qemu: this.#qemu!, node: nodeOfDisk(piece.disk), image: inside.disk(piece.disk) }
    const [node, image] = [`volume-${number}`, inside.image(number)]
    await this.#sandbox.reader.prepare([image])
    const source = piece
      ? { driver: 'raw', 'read-only': true, file: nodeOfDisk(piece.disk), offset: piece.offsetBytes, size: sizeBytes }
      : nbdNode(`${inside.shared}/${inside.blocks}`, inside.exportName(number))
    const qemu = piece ? this.#qemu! : await this.#upperDaemon()
    await qemu.show({ ...source, 'node-name': node }, image, false)
    return { qemu, node, image }
  }

  /** What is written goes beside the backup, never into it. @returns the file that shows it */
  async #showWritable({ number, sizeBytes }: DriverVolume, { qemu, node }: Shown): Promise<string> {
    const image = inside.writableImage(number)
    await this.#sandbox.reader.prepare([image])
    const name = `overlay-${number}.qcow2`
    const path = join(this.#sandbox.shared, name)
    await createOverlay(path, sizeBytes, this.#sandbox.users)
    const overlay = {
      driver: 'qcow2',
      'node-name': `writable-${number}`,
      file: { driver: 'file', filename: `${inside.shared}/${name}` },
      backing: node,
      discard: 'unmap',
    }
    await qemu.show(overlay, image, true)
    return image
  }

  #upperDaemon(): Promise<StorageDaemon> {
    this.#upper ??= this.#sandbox.startStorageDaemon([], overlayBytesMax)
    return this.#upper
  }
}
