/** The life of a mount: attach, scan, mount, read, release. One disk of one backup each, read-only, for a limited time. */
import { mkdir, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type {
  DiskChain,
  EndedMount,
  FileInfo,
  Listing,
  MountBody,
  MountEndReason,
  MountState,
} from '../contract/agent.ts'
import type { ArchiveFormat, Partition } from '../contract/api/restore.ts'
import { HubError } from '../contract/errors.ts'
import type { AttachBackend, Attached, AttachRecord } from './attach/backend.ts'
import { unmount } from './attach/mount-table.ts'
import { checkHeader } from './exports/qcow2.ts'
import { archive } from './files/archive.ts'
import { nameText, toFileInfo } from './files/entries.ts'
import { listFolder, listTree } from './files/list.ts'
import { joinPath, locate, openRoot, type PartitionRoot, splitPath } from './files/resolve.ts'
import { sendFile } from './files/send.ts'
import { Ledger } from './ledger.ts'
import { log } from './log.ts'
import { KeyedMutex } from './mutex.ts'
import type { Repositories } from './repositories.ts'
import { mountVolume, refusal } from './volumes/filesystems.ts'
import { scanVolumes, type Volume } from './volumes/partitions.ts'

type Entry = { chain: DiskChain; root: string; mountPaths: string[]; attach: AttachRecord | null; createdAt: string }

type Mount = {
  id: string
  entry: Entry
  status: MountState['status']
  partitions: Partition[]
  defaultPartition: number | null
  roots: Map<number, PartitionRoot>
  attached: Attached | undefined
  /** Downloads that run: they keep the mount, and are cut when it ends. */
  readers: Set<Readable>
  /** Wall clock for the answers; the monotonic one decides. */
  lastAccess: Date
  deadline: number
  timer: NodeJS.Timeout | undefined
}

const endedRememberedMs = 7 * 24 * 3600 * 1000
const userRoles = new Set(['data', 'unknown', 'lvm'])

export type MountsOptions = {
  stateDir: string
  restoreRoot: string
  slots: number
  idleSeconds: number
  backend: AttachBackend
  repositories: Repositories
}

export class Mounts {
  readonly #options: MountsOptions
  readonly #mounts = new Map<string, Mount>()
  readonly #ledger: Ledger<Entry>
  readonly #ended: Ledger<EndedMount>
  readonly #endedMounts = new Map<string, EndedMount>()
  readonly #mutex = new KeyedMutex()

  constructor(options: MountsOptions) {
    this.#options = options
    this.#ledger = new Ledger(options.stateDir, 'mounts', 'agent')
    this.#ended = new Ledger(options.stateDir, 'ended-mounts')
  }

  /** Frees what an earlier agent left, from its ledger alone. */
  async open(): Promise<void> {
    await this.#ledger.open()
    await this.#ended.open()
    for (const [id, ended] of await this.#ended.all()) this.#endedMounts.set(id, ended)
    await this.#forgetOldEnds()
    for (const [id, entry] of await this.#ledger.all()) {
      for (const path of entry.mountPaths.toReversed()) await unmount(path)
      if (entry.attach) await this.#options.backend.undo(entry.attach)
      await this.#removeFolders(entry)
      await this.#remember(id, 'restart')
      await this.#ledger.remove(id)
    }
  }

  get count() {
    return this.#mounts.size
  }
  get expiredCount() {
    return [...this.#mounts.values()].filter((mount) => this.#isExpired(mount)).length
  }

  list(): { mounts: MountState[]; ended: EndedMount[] } {
    return {
      mounts: [...this.#mounts.values()].map((mount) => this.#state(mount)),
      ended: [...this.#endedMounts.values()],
    }
  }

  /** @throws MOUNT_NOT_FOUND */
  get(id: string): MountState {
    return this.#state(this.#find(id))
  }

  ensure(id: string, body: MountBody): Promise<MountState> {
    return this.#mutex.run(id, async () => {
      const present = this.#mounts.get(id)
      if (present) return this.#state(present)
      const { slots, restoreRoot } = this.#options
      if (this.#mounts.size >= slots)
        throw new HubError('RESTORE_SLOTS_EXHAUSTED', 'All restore slots are in use', {
          details: 'unmount a backup that is no longer needed',
          extra: { active_mounts: this.#mounts.size, max_mounts: slots },
        })
      const { vm_name: _, ...chain } = body
      const mount: Mount = {
        id,
        entry: {
          chain,
          root: join(restoreRoot, id),
          mountPaths: [],
          attach: null,
          createdAt: new Date().toISOString(),
        },
        status: 'mounting',
        partitions: [],
        defaultPartition: null,
        roots: new Map(),
        attached: undefined,
        readers: new Set(),
        lastAccess: new Date(),
        deadline: Number.POSITIVE_INFINITY,
        timer: undefined,
      }
      this.#mounts.set(id, mount)
      try {
        await this.#ledger.put(id, mount.entry)
        await this.#mount(mount)
      } catch (error) {
        await this.#release(mount)
        this.#mounts.delete(id)
        throw error
      }
      mount.status = 'mounted'
      this.touch(mount)
      return this.#state(mount)
    })
  }

  /** Unknown: nothing to do. @throws when something stays busy; the same call again goes on */
  remove(id: string, reason: MountEndReason): Promise<void> {
    return this.#mutex.run(id, async () => {
      const mount = this.#mounts.get(id)
      if (!mount) return
      // Whoever expires a mount may have waited here while it was used again.
      if (reason === 'expired' && !this.#isExpired(mount)) return
      mount.status = 'unmounting'
      await this.#release(mount)
      this.#mounts.delete(id)
      await this.#remember(id, reason)
    })
  }

  async sweepExpired(): Promise<void> {
    await this.#forgetOldEnds()
    for (const mount of [...this.#mounts.values()])
      if (this.#isExpired(mount) || mount.status === 'unmounting') await this.#expire(mount)
  }

  async close(): Promise<void> {
    for (const id of [...this.#mounts.keys()]) await this.remove(id, 'restart')
  }

  async listFiles(
    id: string,
    path: Buffer,
    partition: number | undefined,
    options: { recursive: boolean; limit: number; offset: number },
  ): Promise<Listing> {
    const { number, root } = this.#open(id, partition)
    const located = await locate(root, splitPath(path), true)
    try {
      const { entries, totalCount, truncated } = await (options.recursive ? listTree : listFolder)(
        root,
        located,
        options,
      )
      return {
        partition: number,
        path: nameText(joinPath(located.path)).text,
        entries,
        total_count: totalCount,
        truncated,
      }
    } finally {
      await located.handle.close()
    }
  }

  async fileInfo(id: string, path: Buffer, partition: number | undefined): Promise<FileInfo> {
    const { number, root } = this.#open(id, partition)
    const own = await locate(root, splitPath(path), false)
    try {
      const parent = await locate(root, own.path.slice(0, -1), true)
      try {
        return await toFileInfo(root, own, parent.handle.fd, number)
      } finally {
        await parent.handle.close()
      }
    } finally {
      await own.handle.close()
    }
  }

  async readFile(
    id: string,
    path: Buffer,
    partition: number | undefined,
    start: number,
    length: number,
  ): Promise<Readable> {
    const { mount, root } = this.#open(id, partition)
    const located = await locate(root, splitPath(path), true)
    return this.#lend(mount, await sendFile(located, start, length))
  }

  async readArchive(id: string, path: Buffer, partition: number | undefined, format: ArchiveFormat): Promise<Readable> {
    const { mount, root } = this.#open(id, partition)
    return this.#lend(mount, await archive(root, await locate(root, splitPath(path), true), format))
  }

  /** Sets the time of the last use; the mount ends `idleSeconds` after it. */
  touch(mount: Mount) {
    const idleMs = this.#options.idleSeconds * 1000
    mount.lastAccess = new Date()
    mount.deadline = performance.now() + idleMs
    clearTimeout(mount.timer)
    mount.timer = setTimeout(() => void this.#expire(mount), Math.min(idleMs + 50, 2 ** 31 - 1)).unref()
  }

  async #mount(mount: Mount) {
    const { backend, repositories, stateDir, restoreRoot } = this.#options
    const { entry, id } = mount
    const paths = repositories.chainPaths(entry.chain)
    const virtualSize = await this.#checkChain(paths)
    await mkdir(restoreRoot, { recursive: true, mode: 0o711 })
    await mkdir(entry.root, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    const record = async (attach: AttachRecord) => {
      entry.attach = attach
      await this.#ledger.put(id, entry)
    }
    const attach = async (overlay: boolean) => {
      mount.attached = await backend.attach(
        { runDir: join(stateDir, 'mounts', id), chain: paths, virtualSize, overlay },
        record,
      )
      return scanVolumes(mount.attached.device, virtualSize)
    }
    const mountAll = async (
      volumes: Volume[],
      step: 'plain' | 'replay' | 'as-it-is',
      wanted: (volume: Volume) => boolean,
    ) => {
      let needsReplay = false
      for (const volume of volumes.filter(wanted))
        needsReplay = (await this.#mountOne(mount, volume, step)) || needsReplay
      return needsReplay
    }

    // First as it is: a clean disk needs no overlay. A journal that must be replayed gets one, for the whole disk.
    let volumes = await attach(false)
    const dirty = await mountAll(volumes, 'plain', () => true)
    if (dirty) {
      const clean = new Set(mount.partitions.filter(({ mounted }) => mounted).map(({ number }) => number))
      await this.#unmountAll(mount)
      mount.partitions = []
      volumes = await attach(true)
      await mountAll(volumes, 'plain', ({ number }) => clean.has(number))
      await mountAll(volumes, 'replay', ({ number }) => !clean.has(number))
      const left = new Set(mount.partitions.filter(({ mounted }) => !mounted).map(({ number }) => number))
      await mountAll(volumes, 'as-it-is', ({ number }) => left.has(number))
    }
    mount.partitions.sort((a, b) => a.number - b.number)
    this.#pickDefault(mount)
    if (mount.defaultPartition === null)
      throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No partition of this disk can be mounted', {
        details: mount.partitions
          .map(({ number, reason }) => `partition ${number}: ${reason}`)
          .join('; ')
          .slice(0, 1000),
        extra: { partitions: mount.partitions },
      })
  }

  /** @returns whether it may be a journal that keeps it from being mounted */
  async #mountOne(mount: Mount, volume: Volume, step: 'plain' | 'replay' | 'as-it-is'): Promise<boolean> {
    const path = join(mount.entry.root, `partition-${volume.number}`)
    const refused = await refusal(volume)
    if (refused === undefined) {
      mount.entry.mountPaths.push(path)
      await this.#ledger.put(mount.id, mount.entry)
    }
    const result =
      refused === undefined
        ? await mountVolume(volume, path, step)
        : { mounted: false as const, reason: refused, needsReplay: false }
    if (result.mounted) mount.roots.set(volume.number, await openRoot(path))
    else mount.entry.mountPaths = mount.entry.mountPaths.filter((known) => known !== path)
    mount.partitions = mount.partitions.filter(({ number }) => number !== volume.number)
    mount.partitions.push({
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
    })
    return !result.mounted && result.needsReplay
  }

  /** The largest that holds user data; if none does, the largest. */
  #pickDefault(mount: Mount) {
    const mounted = mount.partitions.filter((partition) => partition.mounted)
    const user = mounted.filter(({ type }) => userRoles.has(type ?? 'unknown'))
    const best = (user.length > 0 ? user : mounted).toSorted((a, b) => b.size_bytes - a.size_bytes)[0]
    if (best) best.is_default = true
    mount.defaultPartition = best?.number ?? null
  }

  /** @returns the size of the guest's disk @throws CHAIN_BROKEN */
  async #checkChain(paths: string[]): Promise<number> {
    let size = 0
    for (const [at, path] of paths.entries()) {
      const parent = paths[at + 1]
      const header = await checkHeader(path, parent ? basename(parent) : null).catch((cause: unknown) => {
        if (cause instanceof HubError) throw cause
        throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing', { details: basename(path), cause })
      })
      if (at === 0) size = header.virtualSize
    }
    return size
  }

  async #unmountAll(mount: Mount) {
    for (const { handle } of mount.roots.values()) await handle.close()
    mount.roots.clear()
    for (const path of mount.entry.mountPaths.toReversed()) {
      await unmount(path)
      await rmdir(path).catch(() => undefined)
    }
    mount.entry.mountPaths = []
    await mount.attached?.detach()
    mount.attached = undefined
  }

  /** Readers, filesystems, device, overlay, folder, ledger: in this order, each step repeatable. */
  async #release(mount: Mount) {
    clearTimeout(mount.timer)
    const readers = [...mount.readers]
    for (const reader of readers) reader.destroy(new Error('the mount has ended'))
    await Promise.allSettled(readers.map((reader) => finished(reader)))
    await this.#unmountAll(mount)
    await this.#removeFolders(mount.entry)
    await this.#ledger.remove(mount.id)
  }

  async #removeFolders({ root, mountPaths }: Entry) {
    for (const path of mountPaths) await rmdir(path).catch(() => undefined)
    await rmdir(root).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }

  async #expire(mount: Mount) {
    if (this.#mounts.get(mount.id) !== mount) return
    await this.remove(mount.id, 'expired').catch((error: unknown) =>
      log.error({ mount: mount.id, error: String(error) }, 'an expired mount could not be ended; it is tried again'),
    )
  }

  #isExpired(mount: Mount) {
    return mount.status === 'unmounting' || (mount.readers.size === 0 && performance.now() >= mount.deadline)
  }

  #find(id: string): Mount {
    const mount = this.#mounts.get(id)
    if (!mount) throw new HubError('MOUNT_NOT_FOUND', 'There is no such mount')
    return mount
  }

  /** The partition that a call means. Counts as access. */
  #open(id: string, partition: number | undefined): { mount: Mount; number: number; root: PartitionRoot } {
    const mount = this.#find(id)
    if (this.#isExpired(mount)) {
      void this.#expire(mount)
      throw new HubError('MOUNT_NOT_FOUND', 'The mount has ended')
    }
    if (mount.status !== 'mounted') throw new HubError('MOUNT_NOT_READY', 'The mount is not ready yet')
    this.touch(mount)
    const number = partition ?? mount.defaultPartition!
    const root = mount.roots.get(number)
    if (!root) throw new HubError('PARTITION_NOT_FOUND', `Partition ${number} is not there or not mounted`)
    return { mount, number, root }
  }

  /** While a stream runs the mount stays, and its end counts as use. */
  #lend(mount: Mount, stream: Readable): Readable {
    mount.readers.add(stream)
    const renewal = setInterval(() => this.touch(mount), 30_000).unref()
    stream.once('close', () => {
      clearInterval(renewal)
      mount.readers.delete(stream)
      if (mount.status === 'mounted') this.touch(mount)
    })
    if (mount.status !== 'mounted') stream.destroy(new Error('the mount has ended'))
    return stream
  }

  async #remember(id: string, reason: MountEndReason) {
    const ended = { mount_id: id, ended_at: new Date().toISOString(), reason }
    this.#endedMounts.set(id, ended)
    await this.#ended.put(id, ended)
  }

  async #forgetOldEnds() {
    const oldest = Date.now() - endedRememberedMs
    for (const [id, { ended_at }] of this.#endedMounts) {
      if (Date.parse(ended_at) >= oldest) continue
      this.#endedMounts.delete(id)
      await this.#ended.remove(id)
    }
  }

  #state(mount: Mount): MountState {
    const expires =
      mount.deadline === Number.POSITIVE_INFINITY
        ? Date.now() + this.#options.idleSeconds * 1000
        : Date.now() + (mount.deadline - performance.now())
    return {
      mount_id: mount.id,
      status: mount.status,
      device: mount.attached?.device ?? null,
      mount_path: mount.entry.root,
      filesystem_type: mount.partitions.find(({ is_default }) => is_default)?.filesystem ?? null,
      default_partition: mount.defaultPartition,
      partitions: mount.partitions,
      created_at: mount.entry.createdAt,
      last_accessed_at: mount.lastAccess.toISOString(),
      expires_at: new Date(mount.readers.size > 0 ? Math.max(expires, Date.now() + 1000) : expires).toISOString(),
    }
  }
}
