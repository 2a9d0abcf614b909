/**
 * A backup's disk, opened: each of its volumes by whoever may. What has a driver is read in a sandbox; what an admin lets the host mount, by the host; the rest
 * is told of.
 */
import type { Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import type { HostFilesystem } from '../../contract/settings.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import type { Sandboxes } from '../sandbox/sandboxes.ts'
import { hasDriver } from '../volumes/fuse-drivers.ts'
import { whyNotMountable } from '../volumes/mounted.ts'
import type { Volume } from '../volumes/partitions.ts'
import { type DiskToOpen, HostDisk, type HostVolume, pathOfVolume } from './host-disk.ts'
import { type DriverVolume, SandboxDisk } from './sandbox-disk.ts'

/** Who may open what. */
export type Openers = {
  /** Or why there can be none on this host. */
  sandboxes: Sandboxes | string
  /** Filesystems that the host itself mounts. */
  hostMounts: readonly HostFilesystem[]
}

const userRoles = new Set(['data', 'unknown', 'lvm'])

export class MountedDisk {
  readonly #disk: DiskToOpen
  readonly #openers: Openers
  readonly #host: HostDisk
  #sandboxed: SandboxDisk | undefined
  #partitions: Partition[] = []
  defaultPartition: number | null = null

  constructor(disk: DiskToOpen, openers: Openers) {
    this.#disk = disk
    this.#openers = openers
    this.#host = new HostDisk(disk)
  }

  /** In the order of their numbers. */
  get partitions(): Partition[] {
    return this.#partitions
  }
  /** The block device of this host; null when it needs none. */
  get device(): string | null {
    return this.#host.device
  }
  /** Resolves with the reason when what is open can be read no more. Never when the host reads all of it. */
  get ended(): Promise<string> | undefined {
    return this.#sandboxed?.ended
  }
  readerOf(number: number): VolumeReader | undefined {
    return this.#sandboxed?.readers.get(number) ?? this.#host.readers.get(number)
  }

  /** After a failure `close` frees what was made. @throws NO_MOUNTABLE_FILESYSTEM, CHAIN_BROKEN, SERVICE_UNAVAILABLE */
  async open(): Promise<void> {
    const { sandboxes } = this.#openers
    if (typeof sandboxes !== 'string') this.#sandboxed = new SandboxDisk(await sandboxes.take(), this.#disk)
    const volumes = await (this.#sandboxed ?? this.#host).scan()
    const byHost = volumes.filter((volume): volume is HostVolume => this.#isForHost(volume))
    const byDriver = volumes.filter(
      (volume): volume is DriverVolume => !this.#isForHost(volume) && hasDriver(volume.filesystem),
    )
    await this.#sandboxed?.mount(byDriver, volumes)
    if (byHost.length > 0) await this.#host.mount(byHost)
    this.#partitions = volumes.map((volume) => this.#describe(volume))
    this.#pickDefault()
    if (this.#sandboxed?.readers.size === 0) await this.#closeSandbox()
    if (this.defaultPartition === null)
      throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No partition of this disk can be mounted', {
        details: this.#partitions
          .map(({ number, reason }) => `partition ${number}: ${reason}`)
          .join('; ')
          .slice(0, 1000),
        extra: { partitions: this.#partitions },
      })
  }

  /** Idempotent; each step can be repeated. */
  async close(): Promise<void> {
    await this.#closeSandbox()
    await this.#host.close()
  }

  async #closeSandbox() {
    await this.#sandboxed?.close()
    this.#sandboxed = undefined
  }

  #isForHost({ filesystem }: Volume): boolean {
    return (this.#openers.hostMounts as readonly (string | null)[]).includes(filesystem)
  }

  #describe(volume: Volume): Partition {
    const { number, kind, sizeBytes, filesystem, label, role } = volume
    const sandboxed = this.#sandboxed?.results.get(number)
    const result = sandboxed ??
      this.#host.results.get(number) ?? { mounted: false as const, reason: this.#whyNobody(filesystem) }
    return {
      number,
      name: this.#nameOf(number),
      kind,
      size_bytes: sizeBytes,
      filesystem,
      label,
      type: role,
      mounted: result.mounted,
      mount_path: result.mounted ? pathOfVolume(this.#disk.root, number) : null,
      is_default: false,
      reason: result.mounted ? null : result.reason,
      journal: result.mounted ? result.journal : null,
      reader: result.mounted ? (sandboxed ? 'sandbox' : 'host') : null,
    }
  }

  /** As the device is called, where there is one. */
  #nameOf(number: number): string {
    const disk = this.device?.slice('/dev/'.length) ?? 'disk'
    return number === 0 ? disk : `${disk}p${number}`
  }

  #whyNobody(filesystem: string | null): string {
    const { sandboxes } = this.#openers
    if (hasDriver(filesystem))
      return `it is read in a sandbox only, and this host can not make one: ${sandboxes}; SENDENSE_HOST_MOUNTS lets the host itself mount it`
    if (filesystem === 'xfs' || filesystem === 'btrfs')
      return `only the kernel of the host can read ${filesystem}, and SENDENSE_HOST_MOUNTS does not let it`
    return whyNotMountable(filesystem)
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
