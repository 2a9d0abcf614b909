/**
 * A backup's disks, opened: each of their volumes by whoever may. What has a driver is read in a sandbox; what needs a kernel in a throw-away machine or, where an admin
 * lets it, by the host; the rest is told of.
 */
import { join } from 'node:path'
import type { GuestSystem, Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import type { HostFilesystem } from '../../contract/settings.ts'
import { serveExports } from '../../nbd/server.ts'
import type { AttachBackend, AttachSource } from '../attach/backend.ts'
import { mapSome } from '../concurrency.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import type { GuestView } from '../guest/guest-view.ts'
import { guestNumber, openGuest } from '../guest/open-guest.ts'
import type { Machines } from '../machine/machines.ts'
import { runHere } from '../run-tool.ts'
import { inside } from '../sandbox/protocol.ts'
import type { Sandboxes } from '../sandbox/sandboxes.ts'
import type { ReaderChoice, ReaderKind, Readers } from '../volumes/choose-reader.ts'
import { VolumeFinder } from '../volumes/find-volumes.ts'
import { type Mounted, type NotMounted, whyNotMountable } from '../volumes/mounted.ts'
import { isOfTable, outsideOfDisks, placeInTable, type Volume } from '../volumes/volume.ts'
import { type DiskRecord, HostDisk, type HostVolume, pathOfVolume } from './host-disk.ts'
import { MachineDisks } from './machine-disks.ts'
import { SandboxDisks } from './sandbox-disks.ts'

export type DiskToOpen = {
  /** Its number in the machine. */
  index: number
  /** Absolute paths of the chain, newest first. */
  chain: readonly string[]
  virtualSize: number
}
export type DisksToOpen = {
  backend: AttachBackend
  /** Folder for what attaching needs; there already, emptied by `close`. */
  runDir: string
  /** Folder that the volumes are mounted below. */
  root: string
  disks: readonly DiskToOpen[]
  /** What may open encrypted volumes, as base64. */
  secrets: string[]
  /** Whether the guest's system is looked for. */
  guestView: boolean
  /** Whether they are opened for one piece of work that begins at once, and closed after it. */
  isBorrowed: boolean
  /** Called whenever there is more to undo, before it is made; by the names of the host's disks. */
  record: (records: Record<string, DiskRecord>) => Promise<void>
}

/** Who may open what. */
export type Openers = {
  /** Or why there can be none on this host. */
  sandboxes: Sandboxes | string
  machines: Machines | string
  /** Known once it is known how fast a machine starts here. */
  readers: Promise<Readers>
}

const userRoles = new Set(['data', 'unknown', 'lvm'])
type ReadableByKernel = Volume & { filesystem: HostFilesystem }
/** More would only wait for the same disks. */
const hostDisksAtOnce = 4

export class MountedDisks {
  readonly #options: DisksToOpen
  readonly #openers: Openers
  /** By their names: one for each disk, and one for each volume that lies deeper. */
  readonly #host = new Map<string, HostDisk>()
  readonly #records: Record<string, DiskRecord> = {}
  #sandboxed: SandboxDisks | undefined
  /** One that nothing is read through, until it is closed. */
  #unused: SandboxDisks | undefined
  #closing: Promise<void> | undefined
  #inMachine: MachineDisks | undefined
  /** Why none could be had for what needs one. */
  #noMachine: string | undefined
  #readers: Readers = new Map()
  /** Where there is no sandbox. */
  #finder: { close: () => Promise<void> } | undefined
  #blocksSocket = ''
  #partitions: Partition[] = []
  defaultPartition: number | null = null
  guest: GuestSystem | null = null
  #view: GuestView | undefined

  constructor(options: DisksToOpen, openers: Openers) {
    this.#options = options
    this.#openers = openers
  }

  /** In the order of their numbers. */
  get partitions(): Partition[] {
    return this.#partitions
  }
  /** The block device of this host; null when it needs none. */
  get device(): string | null {
    return [...this.#host.values()].find(({ device }) => device !== null)?.device ?? null
  }
  /** Resolves with the reason when what is open can be read no more. Never when the host reads all of it. */
  get ended(): Promise<string> | undefined {
    const ends = [this.#sandboxed?.ended, this.#inMachine?.ended].filter((end) => end !== undefined)
    return ends.length === 0 ? undefined : Promise.race(ends)
  }
  readerOf(number: number): VolumeReader | undefined {
    if (number === guestNumber) return this.#view
    const onHost = [...this.#host.values()].find(({ readers }) => readers.has(number))
    return this.#sandboxed?.readers.get(number) ?? this.#inMachine?.readers.get(number) ?? onHost?.readers.get(number)
  }

  /** After a failure `close` frees what was made. @throws NO_MOUNTABLE_FILESYSTEM, CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async open(): Promise<void> {
    await this.#open()
    if (!this.#options.isBorrowed) this.#makeNext()
  }

  async #open(): Promise<void> {
    const { sandboxes } = this.#openers
    if (typeof sandboxes !== 'string') this.#sandboxed = new SandboxDisks(await sandboxes.take(), this.#options.disks)
    const volumes = await (this.#sandboxed ? this.#sandboxed.scan(this.#options.secrets) : this.#findOnHost())
    if (this.#sandboxed) this.#blocksSocket = this.#sandboxed.blocksSocket
    const open = volumes.filter(({ closed }) => closed === null)
    this.#readers = await this.#openers.readers
    const readBy = (reader: ReaderKind) =>
      open.filter((volume): volume is ReadableByKernel => {
        const choice = this.#choiceFor(volume)
        return choice !== undefined && 'reader' in choice && choice.reader === reader
      })
    const byHost = readBy('host')
    await this.#sandboxed?.mount(readBy('sandbox'), volumes)
    await this.#mountInMachine(readBy('machine'), volumes)
    await this.#mountOnHost(byHost, volumes)
    this.#partitions = volumes.map((volume) => this.#describe(volume))
    this.#pickDefault()
    if (this.#options.guestView) await this.#openGuest(volumes)
    const isServing = byHost.some(({ piece }) => piece === null)
    const isNeeded = isServing || (this.#inMachine?.readers.size ?? 0) > 0
    if (this.#sandboxed?.readers.size === 0 && !isNeeded) this.#letGo(this.#sandboxed)
    if (this.defaultPartition === null)
      throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No volume of this disk can be mounted', {
        details: this.#partitions
          .map(({ name, reason }) => `${name}: ${reason}`)
          .join('; ')
          .slice(0, 1000),
        extra: { partitions: this.#partitions },
      })
  }

  /** Idempotent; each step can be repeated. */
  async close(): Promise<void> {
    // First what reads through the sandbox.
    for (const disk of this.#host.values()) await disk.close()
    await this.#inMachine?.close()
    this.#inMachine = undefined
    await this.#sandboxed?.close()
    this.#sandboxed = undefined
    await this.#closing
    await this.#unused?.close()
    this.#unused = undefined
    await this.#finder?.close()
    this.#finder = undefined
    this.#makeNext()
  }

  /** Making what waits for the next mount takes a processor for half a second: not while somebody waits for this one. */
  #makeNext() {
    const { sandboxes, machines } = this.#openers
    for (const made of [sandboxes, machines]) if (typeof made !== 'string') made.makeNext()
  }

  /** That takes a tenth of a second: whoever waits for this mount does not wait for it, only `close` does. */
  #letGo(unused: SandboxDisks) {
    this.#sandboxed = undefined
    this.#unused = unused
    this.#closing = unused.close().then(
      () => {
        this.#unused = undefined
      },
      // `close` tries again, and says why it can not.
      () => undefined,
    )
  }

  #hostDisk(name: string, source: AttachSource): HostDisk {
    const { backend, runDir, root, record } = this.#options
    const disk =
      this.#host.get(name) ??
      new HostDisk({
        backend,
        runDir: join(runDir, name),
        root,
        source,
        record: (own) => {
          this.#records[name] = own
          return record(this.#records)
        },
      })
    this.#host.set(name, disk)
    return disk
  }
  #tableOnHost(at: number): HostDisk {
    const { chain, virtualSize } = this.#options.disks[at]!
    return this.#hostDisk(`disk-${at}`, { chain, offsetBytes: 0, isPiece: false, sizeBytes: virtualSize })
  }
  /** A volume that lies within others, as a device of its own. */
  #deeperOnHost({ number, piece, sizeBytes }: Volume): HostDisk {
    const source: AttachSource = piece
      ? { chain: this.#options.disks[piece.disk]!.chain, offsetBytes: piece.offsetBytes, isPiece: true, sizeBytes }
      : { socket: this.#blocksSocket, exportName: inside.exportName(number), sizeBytes }
    return this.#hostDisk(`volume-${number}`, source)
  }

  /** Where there is no sandbox. */
  async #findOnHost(): Promise<Volume[]> {
    const { runDir, disks, secrets } = this.#options
    const finder = new VolumeFinder({
      run: runHere,
      secrets: secrets.map((secret) => Buffer.from(secret, 'base64')),
      scratch: runDir,
    })
    const images = await mapSome(
      disks.map((disk, at) => ({ ...disk, at })),
      hostDisksAtOnce,
      async ({ at, virtualSize }) => ({
        image: await this.#tableOnHost(at).image(),
        sizeBytes: virtualSize,
      }),
    )
    const volumes = await finder.find(images)
    const isServing = volumes.some(({ piece, closed }) => piece === null && closed === null)
    this.#blocksSocket = join(runDir, inside.blocks)
    const server = isServing
      ? await serveExports(this.#blocksSocket, (name) => finder.blocksOf(Number(name.split('-')[1])))
      : undefined
    this.#finder = {
      close: async () => {
        server?.close()
        await finder.close()
      },
    }
    return volumes
  }

  async #mountInMachine(volumes: readonly ReadableByKernel[], all: readonly Volume[]) {
    const { machines } = this.#openers
    if (volumes.length === 0 || !this.#sandboxed || typeof machines === 'string') return
    const machine = await machines.take().catch((error: HubError) => error)
    if (machine instanceof HubError) {
      // What others read is open all the same.
      this.#noMachine = `${machine.message}: ${machine.details}`
      return
    }
    this.#inMachine = new MachineDisks(machine, this.#sandboxed, this.#options.disks)
    await this.#inMachine.mount(volumes, all)
  }

  async #mountOnHost(volumes: readonly ReadableByKernel[], all: readonly Volume[]) {
    const wanted = new Map<HostDisk, HostVolume[]>()
    for (const volume of volumes) {
      const { number, piece, filesystem } = volume
      const disk = isOfTable(volume) ? this.#tableOnHost(piece!.disk) : this.#deeperOnHost(volume)
      if (!isOfTable(volume) && outsideOfDisks(volume, all, this.#options.disks) !== undefined) continue
      const [partition, offsetBytes] = isOfTable(volume) ? [placeInTable(volume), piece!.offsetBytes] : [0, 0]
      wanted.set(disk, [...(wanted.get(disk) ?? []), { number, partition, offsetBytes, filesystem }])
    }
    await mapSome([...wanted], hostDisksAtOnce, ([disk, own]) => disk.mount(own))
  }

  async #openGuest(volumes: readonly Volume[]) {
    const readable = volumes.flatMap((volume) => {
      const reader = this.readerOf(volume.number)
      return reader ? [{ volume, reader }] : []
    })
    const guest = await openGuest(volumes, readable)
    if (!guest) return
    this.guest = guest.system
    this.#view = guest.view
    for (const partition of this.#partitions) {
      partition.guest_path = guest.mountedAt.get(partition.number) ?? null
      partition.is_default = false
    }
    this.#partitions.push({
      number: guestNumber,
      name: 'guest',
      disk_index: null,
      kind: 'guest',
      size_bytes: readable.reduce((total, { volume }) => total + volume.sizeBytes, 0),
      filesystem: null,
      label: guest.system.hostname,
      type: 'data',
      mounted: true,
      mount_path: null,
      is_default: true,
      reason: null,
      guest_path: '/',
      locked: false,
      journal: null,
      reader: null,
    })
    this.defaultPartition = guestNumber
  }

  /** Undefined: no step reads such a filesystem. */
  #choiceFor({ filesystem }: Pick<Volume, 'filesystem'>): ReaderChoice | undefined {
    return this.#readers.get(filesystem as HostFilesystem)
  }

  #describe(volume: Volume): Partition {
    const { number, kind, sizeBytes, filesystem, label, role, piece, isLocked } = volume
    const [reader, result] = this.#resultOf(volume)
    return {
      number,
      name: this.#nameOf(volume),
      disk_index: piece === null ? null : (this.#options.disks[piece.disk]?.index ?? null),
      kind,
      size_bytes: sizeBytes,
      filesystem,
      label,
      type: role,
      mounted: result.mounted,
      mount_path: result.mounted ? pathOfVolume(this.#options.root, number) : null,
      is_default: false,
      reason: result.mounted ? null : result.reason,
      guest_path: null,
      locked: isLocked,
      journal: result.mounted ? result.journal : null,
      reader: result.mounted ? reader : null,
    }
  }

  /** Its own, or as the device is called, where there is one. */
  #nameOf(volume: Volume): string {
    const { name, piece } = volume
    if (name !== null) return name
    const at = piece?.disk ?? 0
    const device = this.#host.get(`disk-${at}`)?.device?.slice('/dev/'.length)
    const disk = device ?? (this.#options.disks.length === 1 ? 'disk' : `disk${this.#options.disks[at]?.index ?? at}`)
    return placeInTable(volume) === 0 ? disk : `${disk}p${placeInTable(volume)}`
  }

  /** What came of mounting it, and who tried. */
  #resultOf(volume: Volume): [ReaderKind | null, Pick<NotMounted, 'mounted' | 'reason'> | Mounted] {
    const { number, closed, filesystem } = volume
    const sandboxed = this.#sandboxed?.results.get(number)
    if (sandboxed) return ['sandbox', sandboxed]
    const inMachine = this.#inMachine?.results.get(number)
    if (inMachine) return ['machine', inMachine]
    const onHost = [...this.#host.values()].find(({ results }) => results.has(number))?.results.get(number)
    if (onHost) return ['host', onHost]
    return [
      null,
      { mounted: false, reason: closed ?? this.#whyNobody(this.#choiceFor(volume)) ?? whyNotMountable(filesystem) },
    ]
  }

  #whyNobody(choice: ReaderChoice | undefined): string | undefined {
    if (choice && 'none' in choice) return choice.none
    return choice?.reader === 'machine' ? this.#noMachine : undefined
  }

  /** The largest that holds user data; if none does, the largest. */
  #pickDefault() {
    const mounted = this.#partitions.filter((partition) => partition.mounted)
    const user = mounted.filter(({ type }) => userRoles.has(type ?? 'unknown'))
    const best = (user.length > 0 ? user : mounted).toSorted((a, b) => b.size_bytes - a.size_bytes)[0]
    if (best) best.is_default = true
    this.defaultPartition = best?.number ?? null
  }
}
