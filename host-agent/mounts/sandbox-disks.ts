/** A backup's disks in a sandbox: shown there by QEMU, their volumes found, and those mounted that have a driver. Nothing of it is seen on the host. */
import { join } from 'node:path'
import { createOverlay, nbdNode } from '../attach/overlay.ts'
import { type NamedNode, nodeName, type StorageDaemon } from '../attach/storage-daemon.ts'
import { mapSome } from '../concurrency.ts'
import { chainNode } from '../exports/qcow2.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import { closeAll, openForAll } from '../handed-files.ts'
import { handedPath } from '../run-tool.ts'
import { inside } from '../sandbox/protocol.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import { outsideOfDisks, type Volume } from '../volumes/volume.ts'
import { mountInSteps } from './mount-in-steps.ts'
import type { DiskToOpen } from './mounted-disks.ts'

export type DriverVolume = Volume & { filesystem: string }
/** Where NBD clients find a volume: a socket as the host sees it. Whoever made the socket is not to be trusted: it is connected to, and never followed. */
export type Served = { socket: string; exportName: string }
/** Disks that are shown, or volumes that are mounted. More would only wait for the same disk. */
const atOnce = 4

const nodeOfDisk = (at: number) => `disk-${at}`

export class SandboxDisks {
  readonly #sandbox: Sandbox
  readonly #disks: readonly DiskToOpen[]
  #qemu: StorageDaemon | undefined
  /** Block nodes of volumes that QEMU has by now. */
  readonly #added = new Set<string>()
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
      const fds = handles.map(({ fd }) => fd)
      const [qemu] = await Promise.all([
        this.#sandbox.startStorageDaemon(fds),
        reader.prepare(this.#disks.map((_, at) => inside.disk(at))),
      ])
      this.#qemu = qemu
      let file = 0
      const nodes = this.#disks.map(({ chain }, at): NamedNode => {
        const handed = chain.map(() => handedPath(file++))
        return { ...chainNode(handed, true), 'node-name': nodeOfDisk(at) }
      })
      await mapSome([...nodes.entries()], atOnce, ([at, node]) => qemu.show(node, inside.disk(at), false))
    } finally {
      await closeAll(handles)
    }
    return reader.scan({ sizesBytes: this.#disks.map(({ virtualSize }) => virtualSize), secrets })
  }

  /** Mounts what it can; `results` say what came of it. */
  async mount(volumes: readonly DriverVolume[], all: readonly Volume[]): Promise<void> {
    await mapSome(volumes, atOnce, async (volume) => {
      const refused = outsideOfDisks(volume, all, this.#disks)
      const result: Mounted | NotMounted =
        refused === undefined ? await this.#mountOne(volume) : { mounted: false, reason: refused, remedy: null }
      this.results.set(volume.number, result)
      if (result.mounted) this.readers.set(volume.number, this.#sandbox.reader.volume(volume.number))
    })
  }

  close(): Promise<void> {
    return this.#sandbox.close()
  }

  /** Gives a volume to NBD clients of this host, by its name, for reading. @throws CHAIN_BROKEN */
  async serve(volume: Volume): Promise<Served> {
    const { qemu, node } = await this.#nodeOf(volume)
    await qemu.serve(node, this.#socketOf(qemu), false)
    return this.#served(qemu, node)
  }
  /** The same for writing: what is written goes beside the backup, never into it. After `serve`. */
  async serveWritable(volume: Volume): Promise<Served> {
    const { qemu, node } = await this.#nodeOf(volume)
    const overlay = await this.#overlay(volume, nodeName(node))
    await qemu.serve(overlay, this.#socketOf(qemu), true)
    return this.#served(qemu, overlay)
  }

  #mountOne(volume: DriverVolume): Promise<Mounted | NotMounted> {
    return mountInSteps(this.#sandbox.reader, volume, {
      show: () => this.#show(volume),
      showWritable: () => this.#showWritable(volume),
    })
  }

  /** @returns the file that shows it */
  async #show(volume: DriverVolume): Promise<string> {
    const { number, piece, kind } = volume
    if (piece && kind === 'whole_disk') return inside.disk(piece.disk)
    const image = inside.image(number)
    await this.#sandbox.reader.prepare([image])
    const { qemu, node } = await this.#nodeOf(volume)
    await qemu.show(node, image, false)
    return image
  }

  /** @returns the file that shows it */
  async #showWritable(volume: DriverVolume): Promise<string> {
    const image = inside.writableImage(volume.number)
    await this.#sandbox.reader.prepare([image])
    const { qemu, node } = await this.#nodeOf(volume)
    await qemu.show(await this.#overlay(volume, nodeName(node)), image, true)
    return image
  }

  /** Who has a volume, and its block node: by its name, once it has been added. */
  async #nodeOf({
    number,
    piece,
    sizeBytes,
    kind,
  }: Volume): Promise<{ qemu: StorageDaemon; node: NamedNode | string }> {
    if (piece && kind === 'whole_disk') return { qemu: this.#qemu!, node: nodeOfDisk(piece.disk) }
    const qemu = piece ? this.#qemu! : await this.#sandbox.upper()
    const name = `volume-${number}`
    if (this.#added.has(name)) return { qemu, node: name }
    this.#added.add(name)
    const source = piece
      ? { driver: 'raw', 'read-only': true, file: nodeOfDisk(piece.disk), offset: piece.offsetBytes, size: sizeBytes }
      : nbdNode(`${inside.shared}/${inside.blocks}`, inside.exportName(number))
    return { qemu, node: { ...source, 'node-name': name } }
  }

  /** What is written goes beside the backup, never into it. @param below name of the volume's own node */
  async #overlay({ number, sizeBytes }: Volume, below: string): Promise<NamedNode> {
    const name = `overlay-${number}.qcow2`
    await createOverlay(join(this.#sandbox.shared, name), sizeBytes, this.#sandbox.users)
    return {
      driver: 'qcow2',
      'node-name': `writable-${number}`,
      file: { driver: 'file', filename: `${inside.shared}/${name}` },
      backing: below,
      discard: 'unmap',
    }
  }

  #socketOf(qemu: StorageDaemon): string {
    return `${inside.shared}/${this.#socketName(qemu)}`
  }
  #socketName(qemu: StorageDaemon): string {
    return qemu === this.#qemu ? 'disks.sock' : 'volumes.sock'
  }
  async #served(qemu: StorageDaemon, node: NamedNode | string): Promise<Served> {
    const socket = this.#socketName(qemu)
    await this.#sandbox.reader.share(socket)
    return { socket: join(this.#sandbox.shared, socket), exportName: nodeName(node) }
  }
}
