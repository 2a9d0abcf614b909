/** The life of a mount: disks of one restore point, read-only, for a limited time after their last use. */
import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Writable } from 'node:stream'
import type { DiskChain, EndedMount, MountBody, MountEndReason, MountState } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import type { AttachBackend } from '../attach/backend.ts'
import { unmount } from '../attach/mount-table.ts'
import { checkHeader } from '../exports/qcow2.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import { Ledger } from '../ledger.ts'
import { log } from '../log.ts'
import { KeyedMutex } from '../mutex.ts'
import type { Repositories } from '../repositories.ts'
import { isTrouble } from '../trouble.ts'
import type { DiskRecord } from './host-disk.ts'
import { type DiskToOpen, MountedDisks, type Openers } from './mounted-disks.ts'

type Entry = {
  disks: DiskChain[]
  root: string
  runDir: string
  createdAt: string
  /** What the host has of them, by name. */
  records: Record<string, DiskRecord>
}

type Mount = {
  id: string
  entry: Entry
  status: MountState['status']
  /** Open for one piece of work of ours: it is nobody's mount, and takes no slot. */
  isBorrowed: boolean
  /** Undefined until its chains have been checked. */
  disks: MountedDisks | undefined
  /** Downloads that run: they keep the mount, and are cut when it ends. */
  readers: Map<AbortController, Promise<void>>
  /** Wall clock for the answers; the monotonic one decides. */
  lastAccess: Date
  deadline: number
  timer: NodeJS.Timeout | undefined
}

/** What a reader gets of a mount. */
export type MountInUse = {
  reader: VolumeReader
  /**
   * Runs a download of the mount's: while it runs the mount stays, and its end counts as access.
   * @param work ends when the signal says that the mount has ended, or that the target is closed
   */
  lend: (target: Writable, work: (signal: AbortSignal) => Promise<void>) => Promise<void>
}

/** What was busy is often free a moment later. */
const retryMs = 5_000
const endedRememberedMs = 7 * 24 * 3600 * 1000

export type MountsOptions = {
  stateDir: string
  restoreRoot: string
  slots: number
  idleSeconds: number
  backend: AttachBackend
  openers: Openers
  repositories: Repositories
}

export class Mounts {
  readonly #options: MountsOptions
  readonly #mounts = new Map<string, Mount>()
  readonly #ledger: Ledger<Entry>
  readonly #ended: Ledger<EndedMount>
  readonly #endedMounts = new Map<string, EndedMount>()
  readonly #mutex = new KeyedMutex()
  /** Of an earlier agent, and not yet free. */
  readonly #left = new Map<string, Entry>()

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
    for (const [id, entry] of await this.#ledger.all()) this.#left.set(id, entry)
    await this.#freeLeft()
    // Folders that no entry names any more: empty, or of a crash between two steps of a release.
    const runDirs = join(this.#options.stateDir, 'mounts')
    await mkdir(runDirs, { recursive: true, mode: 0o700 })
    for (const name of await readdir(runDirs))
      if (!this.#left.has(name)) await rm(join(runDirs, name), { recursive: true, force: true })
    await this.#forgetOldEnds()
  }

  /** What stays busy must not keep the agent from serving all else; the next sweep tries it again. */
  async #freeLeft() {
    for (const [id, entry] of [...this.#left]) {
      try {
        for (const { mountPaths, attach } of Object.values(entry.records)) {
          for (const path of mountPaths.toReversed()) await unmount(path)
          if (attach) await this.#options.backend.undo(attach)
        }
        await rm(entry.runDir, { recursive: true, force: true })
        await this.#removeFolders(entry)
        await this.#remember(id, 'restart')
        await this.#ledger.remove(id)
        this.#left.delete(id)
      } catch (error) {
        log.error({ mount: id, error: String(error) }, 'a mount of an earlier agent could not be freed yet')
      }
    }
  }

  #shown() {
    return [...this.#mounts.values()].filter(({ isBorrowed }) => !isBorrowed)
  }
  get count() {
    return this.#shown().length
  }
  get expiredCount() {
    return [...this.#mounts.values()].filter((mount) => this.#isExpired(mount)).length
  }

  /** Ids of the mounts that have files of this disk open, or will. */
  usersOf({ repository_id, vm_backup_context_id, disk_index }: Omit<DiskChain, 'bases'>): string[] {
    return [...this.#mounts.values()].flatMap(({ id, entry: { disks } }) =>
      disks.some(
        (chain) =>
          chain.repository_id === repository_id &&
          chain.vm_backup_context_id === vm_backup_context_id &&
          chain.disk_index === disk_index,
      )
        ? [id]
        : [],
    )
  }

  list(): { mounts: MountState[]; ended: EndedMount[] } {
    return {
      mounts: this.#shown().map((mount) => this.#state(mount)),
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
      if (this.count >= this.#options.slots)
        throw new HubError('RESTORE_SLOTS_EXHAUSTED', 'All restore slots are in use', {
          details: 'unmount a backup that is no longer needed',
          extra: { active_mounts: this.count, max_mounts: this.#options.slots },
        })
      return this.#state(await this.#make(id, body, false))
    })
  }

  /** Opens disks for one piece of work, seen by nobody else; `close` ends it. Takes no slot. */
  async borrow(body: MountBody): Promise<{ disks: MountedDisks; close: () => Promise<void> }> {
    const id = randomUUID()
    const { disks } = await this.#mutex.run(id, () => this.#make(id, body, true))
    return { disks: disks!, close: () => this.remove(id, 'user') }
  }

  /** @throws what keeps it from being opened; nothing is left then, or it is tried again */
  async #make(id: string, body: MountBody, isBorrowed: boolean): Promise<Mount> {
    const { restoreRoot, stateDir } = this.#options
    const mount: Mount = {
      id,
      entry: {
        disks: body.disks,
        root: join(restoreRoot, id),
        runDir: join(stateDir, 'mounts', id),
        createdAt: new Date().toISOString(),
        records: {},
      },
      status: 'mounting',
      isBorrowed,
      disks: undefined,
      readers: new Map(),
      lastAccess: new Date(),
      deadline: Number.POSITIVE_INFINITY,
      timer: undefined,
    }
    this.#mounts.set(id, mount)
    try {
      await this.#ledger.put(id, mount.entry)
      await this.#open(mount, body)
    } catch (error) {
      mount.status = 'unmounting'
      await this.#release(mount).then(
        () => this.#mounts.delete(id),
        (why: unknown) => this.#retryLater(mount, 'failed', why),
      )
      throw error
    }
    mount.status = 'mounted'
    void mount.disks?.ended?.then((why) => this.#onReaderEnd(mount, why))
    // Who has borrowed it ends it.
    if (!isBorrowed) this.#touch(mount)
    return mount
  }

  /** Unknown: nothing to do. @throws when something stays busy; the same call again goes on */
  remove(id: string, reason: MountEndReason): Promise<void> {
    return this.#mutex.run(id, async () => {
      const mount = this.#mounts.get(id)
      if (!mount) return
      // Whoever expires a mount may have waited here while it was used again.
      if (reason === 'expired' && !this.#isExpired(mount)) return
      mount.status = 'unmounting'
      try {
        await this.#release(mount)
      } catch (error) {
        this.#retryLater(mount, reason, error)
        throw error
      }
      this.#mounts.delete(id)
      if (!mount.isBorrowed) await this.#remember(id, reason)
    })
  }

  async sweepExpired(): Promise<void> {
    await this.#forgetOldEnds()
    await this.#freeLeft()
    for (const mount of [...this.#mounts.values()])
      if (this.#isExpired(mount) || mount.status === 'unmounting') await this.#expire(mount)
  }

  async close(): Promise<void> {
    // What stays busy is logged there, and keeps no other from being freed; the next agent finds it in the ledger.
    for (const id of [...this.#mounts.keys()]) await this.remove(id, 'restart').catch(() => undefined)
  }

  /**
   * The partition that a call means. Counts as access.
   * @param partition its number; the default partition without one
   * @throws MOUNT_NOT_FOUND, MOUNT_NOT_READY, PARTITION_NOT_FOUND
   */
  use(id: string, partition: number | undefined): MountInUse {
    const mount = this.#find(id)
    if (this.#isExpired(mount)) {
      void this.#expire(mount)
      throw new HubError('MOUNT_NOT_FOUND', 'The mount has ended')
    }
    if (mount.status !== 'mounted' || !mount.disks) throw new HubError('MOUNT_NOT_READY', 'The mount is not ready yet')
    this.#touch(mount)
    const number = partition ?? mount.disks.defaultPartition!
    const reader = mount.disks.readerOf(number)
    if (!reader) throw new HubError('PARTITION_NOT_FOUND', `Partition ${number} is not there or not mounted`)
    return { reader, lend: (target, work) => this.#lend(mount, target, work) }
  }

  /** Sets the time of the last use; the mount ends `idleSeconds` after it. */
  #touch(mount: Mount) {
    const idleMs = this.#options.idleSeconds * 1000
    mount.lastAccess = new Date()
    mount.deadline = performance.now() + idleMs
    clearTimeout(mount.timer)
    mount.timer = setTimeout(() => void this.#expire(mount), Math.min(idleMs + 50, 2 ** 31 - 1)).unref()
  }

  async #open(mount: Mount, { secrets = [], guest_view: guestView = false }: MountBody) {
    const { backend, repositories, restoreRoot } = this.#options
    const { id, entry, isBorrowed } = mount
    const disks: DiskToOpen[] = []
    for (const disk of entry.disks) {
      const chain = repositories.chainPaths(disk)
      disks.push({ index: disk.disk_index, chain, virtualSize: await this.#checkChain(chain) })
    }
    await mkdir(restoreRoot, { recursive: true, mode: 0o711 })
    await mkdir(entry.root, { recursive: true, mode: 0o700 })
    await mkdir(entry.runDir, { recursive: true, mode: 0o700 })
    const { root, runDir } = entry
    const record = (records: Record<string, DiskRecord>) => {
      mount.entry = { ...mount.entry, records: { ...records } }
      return this.#ledger.put(id, mount.entry)
    }
    const toOpen = { backend, runDir, root, disks, secrets, guestView, isBorrowed, record }
    mount.disks = new MountedDisks(toOpen, this.#options.openers)
    await mount.disks.open()
  }

  /** @returns the size of the guest's disk @throws CHAIN_BROKEN */
  async #checkChain(paths: string[]): Promise<number> {
    let size = 0
    for (const [at, path] of paths.entries()) {
      const parent = paths[at + 1]
      const header = await checkHeader(path, parent ? basename(parent) : null).catch((cause: unknown) => {
        if (cause instanceof HubError || isTrouble(cause)) throw cause
        throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing or can not be read', {
          details: basename(path),
          cause,
        })
      })
      if (at === 0) size = header.virtualSize
    }
    return size
  }

  /** Readers, disk, folder, ledger: in this order, each step repeatable. */
  async #release(mount: Mount) {
    clearTimeout(mount.timer)
    for (const reader of mount.readers.keys()) reader.abort(new Error('the mount has ended'))
    await Promise.allSettled(mount.readers.values())
    await mount.disks?.close()
    await rm(mount.entry.runDir, { recursive: true, force: true })
    await this.#removeFolders(mount.entry)
    await this.#ledger.remove(mount.id)
  }

  /** Folder by folder, never all that is below: whatever is still mounted there stays as it is, and is busy. */
  async #removeFolders({ root }: Entry) {
    const goneIsFine = (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    }
    // What is there, not what is remembered: a folder that could once not be removed is remembered by nobody.
    const names = (await readdir(root).catch(goneIsFine)) ?? []
    for (const name of names) await rmdir(join(root, name)).catch(goneIsFine)
    await rmdir(root).catch(goneIsFine)
  }

  #retryLater(mount: Mount, reason: MountEndReason, why: unknown) {
    log.error({ mount: mount.id, error: String(why) }, 'a mount could not be freed; it is tried again')
    const again = () => void this.remove(mount.id, reason).catch(() => undefined)
    mount.timer = setTimeout(again, retryMs).unref()
  }

  async #expire(mount: Mount) {
    if (this.#mounts.get(mount.id) !== mount) return
    // What could not be freed is logged and tried again there.
    await this.remove(mount.id, 'expired').catch(() => undefined)
  }

  /** What reads the mount is gone: it can only be made anew. */
  #onReaderEnd(mount: Mount, why: string) {
    if (mount.status !== 'mounted') return
    log.error({ mount: mount.id, why }, 'what reads a mount has ended')
    // What could not be freed is logged and tried again there.
    void this.remove(mount.id, 'failed').catch(() => undefined)
  }

  #isExpired(mount: Mount) {
    return mount.status === 'unmounting' || (mount.readers.size === 0 && performance.now() >= mount.deadline)
  }

  #find(id: string): Mount {
    const mount = this.#mounts.get(id)
    if (!mount || mount.isBorrowed) throw new HubError('MOUNT_NOT_FOUND', 'There is no such mount')
    return mount
  }

  async #lend(mount: Mount, target: Writable, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const reader = new AbortController()
    const onClose = () => reader.abort(new Error('the reader went away'))
    target.once('close', onClose)
    const renewal = setInterval(() => this.#touch(mount), 30_000).unref()
    if (mount.status !== 'mounted') reader.abort(new Error('the mount has ended'))
    const done = work(reader.signal).finally(() => {
      clearInterval(renewal)
      target.off('close', onClose)
      mount.readers.delete(reader)
      if (mount.status === 'mounted') this.#touch(mount)
    })
    mount.readers.set(reader, done)
    return done
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
    const partitions = mount.disks?.partitions ?? []
    return {
      mount_id: mount.id,
      status: mount.status,
      device: mount.disks?.device ?? null,
      mount_path: mount.entry.root,
      filesystem_type: partitions.find(({ is_default }) => is_default)?.filesystem ?? null,
      default_partition: mount.disks?.defaultPartition ?? null,
      partitions,
      guest: mount.disks?.guest ?? null,
      created_at: mount.entry.createdAt,
      last_accessed_at: mount.lastAccess.toISOString(),
      expires_at: new Date(mount.readers.size > 0 ? Math.max(expires, Date.now() + 1000) : expires).toISOString(),
    }
  }
}
