/** Volumes of a backup's disks that a throw-away machine mounts. It is plugged in what QEMU of the sandbox gives it, and sees nothing else. */
import { link } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { HostFilesystem } from '../../contract/settings.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import type { Machine } from '../machine/machine.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import { outsideOfDisks, type Volume } from '../volumes/volume.ts'
import { mountInSteps } from './mount-in-steps.ts'
import type { DiskToOpen } from './mounted-disks.ts'
import type { SandboxDisks, Served } from './sandbox-disks.ts'

export type MachineVolume = Volume & { filesystem: HostFilesystem }

export class MachineDisks {
  readonly #machine: Machine
  readonly #sandboxed: SandboxDisks
  readonly #disks: readonly DiskToOpen[]
  /** Names of sockets that the machine has by now. */
  readonly #sockets = new Set<string>()
  readonly readers = new Map<number, VolumeReader>()
  readonly results = new Map<number, Mounted | NotMounted>()

  constructor(machine: Machine, sandboxed: SandboxDisks, disks: readonly DiskToOpen[]) {
    this.#machine = machine
    this.#sandboxed = sandboxed
    this.#disks = disks
  }

  /** Resolves with the reason when they can be read no more. */
  get ended(): Promise<string> {
    return this.#machine.ended
  }

  /** Mounts what it can, one after the other: they wait for the same processor. `results` say what came of it. */
  async mount(volumes: readonly MachineVolume[], all: readonly Volume[]): Promise<void> {
    for (const volume of volumes) {
      const refused = outsideOfDisks(volume, all, this.#disks)
      const result: Mounted | NotMounted =
        refused === undefined ? await this.#mountOne(volume) : { mounted: false, reason: refused, remedy: null }
      this.results.set(volume.number, result)
      if (result.mounted) this.readers.set(volume.number, this.#machine.reader.volume(volume.number))
    }
  }

  close(): Promise<void> {
    return this.#machine.close()
  }

  #mountOne(volume: MachineVolume): Promise<Mounted | NotMounted> {
    return mountInSteps(this.#machine.reader, volume, {
      show: async () => this.#plugIn(await this.#sandboxed.serve(volume), false),
      showWritable: async () => this.#plugIn(await this.#sandboxed.serveWritable(volume), true),
    })
  }

  async #plugIn({ socket, exportName }: Served, writable: boolean): Promise<string> {
    const name = basename(socket)
    if (!this.#sockets.has(name)) {
      // A second name for it, in the folder that the machine's QEMU sees. Whatever lies there is that QEMU's to connect to, never followed here.
      await link(socket, join(this.#machine.shared, name))
      this.#sockets.add(name)
    }
    return this.#machine.addDisk(name, exportName, writable)
  }
}
