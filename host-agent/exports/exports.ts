/** The disks that are being written, or shown to an admin, over NBD. */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DiskChain, DiskFile, ExportBody, ExportState, ExportStatus, SealBody } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import type { AgentSettings } from '../../contract/settings.ts'
import { type Daemon, killProven } from '../exec.ts'
import { Ledger } from '../ledger.ts'
import { log } from '../log.ts'
import { KeyedMutex } from '../mutex.ts'
import type { Repositories } from '../repositories.ts'
import { ToolError } from '../run-tool.ts'
import { chainOnDisk, createImage } from './images.ts'
import { connectionCounts, startNbdServer } from './nbd-server.ts'
import { seal } from './seal.ts'
import { WriteOut } from './write-out.ts'

/** What the ledger keeps of an export. `flushed`: all data is on the disk and qemu-nbd is gone, only the checksums are missing. */
type Entry = {
  jobId: string | null
  kind: 'new' | 'existing'
  port: number
  file: DiskFile | null
  parentBases: string[]
  qcow2Path: string
  virtualSize: number
  readOnly: boolean
  sharedConnections: number
  status: ExportStatus
  flushed: boolean
  sealBody: SealBody | null
  storedBytes: number
  manifestDigest: string | null
  errorMessage: string | null
  pid: number | null
  startTicks: string | null
  startedAt: string
}

type Live = {
  entry: Entry
  daemon: Daemon | undefined
  seal: { done: Promise<void>; abort: AbortController; sealedBytes: number } | undefined
}

const sectorBytes = 512

export class Exports {
  readonly #live = new Map<string, Live>()
  readonly #ledger: Ledger<Entry>
  readonly #mutex = new KeyedMutex()
  readonly #writeOut = new WriteOut()
  readonly #repositories: Repositories
  readonly #ports: { first: number; last: number }

  constructor({ stateDir, nbdPorts }: AgentSettings, repositories: Repositories) {
    this.#ledger = new Ledger(stateDir, 'exports')
    this.#repositories = repositories
    this.#ports = nbdPorts
  }

  /** Takes over what an earlier agent left: its processes are gone with it, so what was being written is lost. */
  async open(): Promise<void> {
    await this.#ledger.open()
    for (const [name, entry] of await this.#ledger.all()) {
      if (entry.pid !== null && entry.startTicks !== null) await killProven(entry.pid, entry.startTicks)
      const interrupted = entry.status === 'writing' || (entry.status === 'sealing' && !entry.flushed)
      const status = interrupted ? 'lost' : entry.status
      const errorMessage = interrupted
        ? 'the host-agent was restarted while the disk was being written'
        : entry.errorMessage
      const live: Live = {
        entry: { ...entry, status, errorMessage, pid: null, startTicks: null },
        daemon: undefined,
        seal: undefined,
      }
      if (entry.kind === 'existing') {
        await this.#ledger.remove(name)
        continue
      }
      await this.#ledger.put(name, live.entry)
      this.#live.set(name, live)
      if (status === 'sealing' && entry.sealBody) this.#startSeal(name, live, entry.sealBody)
    }
  }

  get count() {
    return [...this.#live.values()].filter(({ daemon }) => daemon).length
  }

  /** Names of the exports that have files of this disk open, or will: one that is sealed reads no more. */
  usersOf(disk: Omit<DiskChain, 'bases'>): string[] {
    const folder = dirname(this.#repositories.diskPath({ ...disk, base: 'any' }))
    return [...this.#live].flatMap(([name, { entry }]) =>
      entry.status !== 'sealed' && dirname(entry.qcow2Path) === folder ? [name] : [],
    )
  }

  async list(): Promise<ExportState[]> {
    const connections = await connectionCounts()
    return [...this.#live].map(([name, live]) => this.#state(name, live, connections))
  }

  /** @throws EXPORT_NOT_FOUND */
  async get(name: string): Promise<ExportState> {
    return this.#state(name, this.#find(name), await connectionCounts())
  }

  ensure(name: string, body: ExportBody): Promise<ExportState> {
    return this.#mutex.run(name, async () => {
      if (body.port < this.#ports.first || body.port > this.#ports.last)
        throw new HubError('PORT_NOT_ALLOCATED', `Port ${body.port} is not one of the NBD ports`)
      const present = this.#live.get(name)
      if (present) {
        const same =
          present.entry.jobId === body.job_id && present.entry.kind === body.kind && present.entry.port === body.port
        if (!same || present.entry.status !== 'writing')
          throw new HubError('EXPORT_IN_USE', `The export ${name} is in use`)
        return this.get(name)
      }
      const live = body.kind === 'new' ? await this.#createNew(name, body) : await this.#openExisting(name, body)
      await this.#start(name, live)
      return this.get(name)
    })
  }

  /**
   * Seals a disk. Answers when that has ended or after `wait_seconds`; the same call again joins the work.
   * @throws EXPORT_NOT_FOUND, JOB_ENDED when it can't be sealed any more
   */
  async seal(name: string, body: SealBody): Promise<ExportState> {
    const live = this.#find(name)
    await this.#mutex.run(name, async () => {
      if (live.entry.kind !== 'new') throw new HubError('JOB_ENDED', 'This export is not a backup in progress')
      if (live.entry.status !== 'writing') return
      live.entry = { ...live.entry, status: 'sealing', sealBody: body }
      await this.#ledger.put(name, live.entry)
      this.#startSeal(name, live, body)
    })
    if (live.seal) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, body.wait_seconds * 1000)
      })
      await Promise.race([live.seal.done, late])
      clearTimeout(timer)
    }
    return this.get(name)
  }

  /** Ends an export; the ledger forgets it last. */
  drop(name: string, deleteFile: boolean): Promise<{ stopped_pid: number | null }> {
    const running = this.#live.get(name)
    running?.seal?.abort.abort()
    return this.#mutex.run(name, async () => {
      const live = this.#live.get(name)
      if (!live) return { stopped_pid: null }
      live.seal?.abort.abort()
      const pid = live.daemon?.pid ?? null
      const daemon = live.daemon
      live.daemon = undefined
      // Should a later step fail, it must not look as if it could still be written or sealed.
      if (live.entry.status === 'writing') live.entry = lost(live.entry, 'the export was dropped')
      await daemon?.stop(5_000)
      await live.seal?.done
      if (deleteFile && live.entry.file) await this.#repositories.deleteDiskFile(live.entry.file)
      await this.#ledger.remove(name)
      this.#live.delete(name)
      return { stopped_pid: pid }
    })
  }

  /** Ends every process; what was being written is lost and says so to the next agent. */
  async close(): Promise<void> {
    for (const live of this.#live.values()) live.seal?.abort.abort()
    await Promise.all(
      [...this.#live.values()].map(async (live) => {
        const { daemon } = live
        live.daemon = undefined
        await daemon?.stop(5_000)
        await live.seal?.done
      }),
    )
  }

  async #createNew(name: string, body: Extract<ExportBody, { kind: 'new' }>): Promise<Live> {
    const { file } = body
    const path = this.#repositories.diskPath(file)
    const virtualSize = Math.ceil(body.virtual_size_bytes / sectorBytes) * sectorBytes
    if (body.parent_bases.length > 0) {
      const checks = await this.#repositories.inspect({ ...file, bases: body.parent_bases })
      const bad = checks.find(({ problem }) => problem !== null)
      if (bad)
        throw new HubError('CHAIN_BROKEN', 'The backup that this one builds on is damaged', {
          details: `${bad.base} ${bad.problem}`,
        })
    }
    const exists = () => new HubError('EXPORT_IN_USE', 'A file of this name is there already', { details: file.base })
    if (await isThere(`${path}.qcow2`)) throw exists()
    const live = begin({
      jobId: body.job_id,
      kind: 'new',
      port: body.port,
      file,
      parentBases: body.parent_bases,
      qcow2Path: `${path}.qcow2`,
      virtualSize,
      readOnly: false,
      sharedConnections: body.shared_connections,
    })
    await this.#ledger.put(name, live.entry)
    try {
      await this.#repositories.ensureDiskFolder(file)
      await createImage(`${path}.qcow2`, virtualSize, body.parent_bases[0] ?? null)
    } catch (error) {
      // Somebody else's after all: whatever it is, it is not ours to remove.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
        await this.#ledger.remove(name)
        throw exists()
      }
      await this.#undo(name, live)
      throw storageError(error)
    }
    return live
  }

  async #openExisting(name: string, body: Extract<ExportBody, { kind: 'existing' }>): Promise<Live> {
    const path = await this.#repositories.resolveInside(body.repository_id, body.relative_path)
    const sealed = await isThere(path.replace(/\.qcow2$/, '.manifest.json'))
    if (sealed && !body.read_only)
      throw new HubError('PATH_INVALID', 'A completed backup is exported read-only', { details: 'set read_only' })
    if ([...this.#live.values()].some(({ entry }) => entry.qcow2Path === path && !(entry.readOnly && body.read_only)))
      throw new HubError('EXPORT_IN_USE', 'The file is exported already')
    const live = begin({
      jobId: body.job_id,
      kind: 'existing',
      port: body.port,
      file: null,
      parentBases: [],
      qcow2Path: path,
      virtualSize: 0,
      readOnly: body.read_only,
      sharedConnections: body.shared_connections,
    })
    await this.#ledger.put(name, live.entry)
    return live
  }

  /** Starts qemu-nbd over what `live` describes; on failure nothing of it is left. */
  async #start(name: string, live: Live) {
    const { entry } = live
    try {
      const daemon = await startNbdServer({
        exportName: name,
        port: entry.port,
        paths: entry.kind === 'new' ? this.#chain(entry) : await chainOnDisk(entry.qcow2Path),
        readOnly: entry.readOnly,
        sharedConnections: entry.sharedConnections,
      })
      live.daemon = daemon
      live.entry = { ...entry, pid: daemon.pid, startTicks: daemon.startTicks }
      await this.#ledger.put(name, live.entry)
      this.#live.set(name, live)
      if (!entry.readOnly) await this.#writeOut.add(entry.qcow2Path, (error) => this.#onUnwritable(name, live, error))
      daemon.ended.then(async ({ exitCode, signal, stderr }) => {
        await this.#writeOut.remove(entry.qcow2Path)
        this.#onEnded(name, live, `qemu-nbd ended with ${exitCode ?? signal}: ${stderr.trim()}`)
      })
    } catch (error) {
      await live.daemon?.stop(0)
      await this.#undo(name, live)
      throw storageError(error)
    }
  }

  /** Removes what was made. What the disk does not let go stays known as lost, until somebody drops it. */
  async #undo(name: string, live: Live) {
    try {
      if (live.entry.file) await this.#repositories.deleteDiskFile(live.entry.file)
      await this.#ledger.remove(name)
      this.#live.delete(name)
    } catch (error) {
      log.error({ export: name, error: String(error) }, 'an export that did not start could not be removed yet')
      live.daemon = undefined
      live.entry = lost(live.entry, 'the export could not be started')
      this.#live.set(name, live)
      await this.#ledger.put(name, live.entry).catch(() => undefined)
    }
  }

  /** A qemu-nbd that ends by itself takes what it had not flushed with it. */
  #onEnded(name: string, live: Live, message: string) {
    if (live.daemon === undefined || live.entry.status !== 'writing') return
    live.daemon = undefined
    log.error({ export: name }, message)
    live.entry = lost(live.entry, message)
    this.#ledger
      .put(name, live.entry)
      .catch((error: unknown) => log.error({ export: name, error: String(error) }, 'the ledger can not be written'))
  }

  /** What qemu-nbd took and the disk did not: the export is lost, and whoever writes it must learn that at once. */
  #onUnwritable(name: string, live: Live, { message }: Error) {
    const { daemon } = live
    this.#onEnded(name, live, `the disk file could not be written: ${message}`)
    daemon?.stop(0).catch((error: unknown) => log.error({ export: name, error: String(error) }, 'qemu-nbd did not end'))
  }

  #chain(entry: Entry) {
    return entry.file
      ? this.#repositories.chainPaths({ ...entry.file, bases: [entry.file.base, ...entry.parentBases] })
      : [entry.qcow2Path]
  }

  #startSeal(name: string, live: Live, body: SealBody) {
    const { file } = live.entry
    if (!file) return
    const abort = new AbortController()
    const progress = { done: Promise.resolve(), abort, sealedBytes: 0 }
    const finish = async (change: Partial<Entry>) => {
      live.daemon = undefined
      live.entry = { ...live.entry, ...change, pid: null, startTicks: null }
      await this.#ledger.put(name, live.entry)
    }
    const work = async () => {
      try {
        await this.#writeOut.remove(live.entry.qcow2Path)
        const { storedBytes, virtualSize, manifestDigest } = await seal({
          exportName: name,
          port: live.entry.port,
          daemon: live.entry.flushed ? undefined : live.daemon,
          file,
          path: this.#repositories.diskPath(file),
          chain: this.#chain(live.entry),
          body,
          onFlushed: () => finish({ flushed: true }),
          onProgress: (sealedBytes) => {
            progress.sealedBytes = sealedBytes
          },
          signal: abort.signal,
        })
        await finish({ status: 'sealed', storedBytes, virtualSize, manifestDigest })
      } catch (error) {
        log.error({ export: name, error: String(error) }, 'a disk could not be sealed')
        await live.daemon?.stop(5_000)
        // Stopped on purpose while only checksums were missing: the next agent goes on.
        if (abort.signal.aborted && live.entry.flushed) return
        await finish({
          status: 'failed',
          errorMessage: String(error instanceof Error ? error.message : error).slice(0, 500),
        })
      }
    }
    live.seal = progress
    progress.done = work().catch((error: unknown) =>
      log.error({ export: name, error: String(error) }, 'the ledger can not be written'),
    )
  }

  #find(name: string): Live {
    const live = this.#live.get(name)
    if (!live) throw new HubError('EXPORT_NOT_FOUND', `There is no export ${name}`)
    return live
  }

  #state(name: string, { entry, seal: progress }: Live, connections: Map<number, number>): ExportState {
    return {
      export_name: name,
      kind: entry.kind,
      job_id: entry.jobId,
      status: entry.status,
      port: entry.port,
      pid: entry.pid,
      process_start: entry.startTicks,
      path: entry.qcow2Path,
      read_only: entry.readOnly,
      shared_limit: entry.sharedConnections,
      connection_count: entry.pid === null ? 0 : (connections.get(entry.port) ?? 0),
      uptime_seconds: Math.max(0, Math.floor((Date.now() - Date.parse(entry.startedAt)) / 1000)),
      error_message: entry.errorMessage,
      sealed_bytes: entry.status === 'sealed' ? entry.virtualSize : (progress?.sealedBytes ?? 0),
      total_bytes: entry.virtualSize,
      stored_bytes: entry.storedBytes,
      change_id: entry.sealBody?.change_id ?? null,
      manifest_digest: entry.manifestDigest,
    }
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const lost = (entry: Entry, errorMessage: string): Entry => ({
  ...entry,
  status: 'lost',
  errorMessage: errorMessage.slice(0, 500),
  pid: null,
  startTicks: null,
})

type Beginning = Pick<
  Entry,
  'jobId' | 'kind' | 'port' | 'file' | 'parentBases' | 'qcow2Path' | 'virtualSize' | 'readOnly' | 'sharedConnections'
>
/** An export that is about to be started. */
const begin = (what: Beginning): Live => ({
  entry: {
    ...what,
    status: 'writing',
    flushed: false,
    sealBody: null,
    storedBytes: 0,
    manifestDigest: null,
    errorMessage: null,
    pid: null,
    startTicks: null,
    startedAt: new Date().toISOString(),
  },
  daemon: undefined,
  seal: undefined,
})

const storageError = (error: unknown): unknown => {
  if (error instanceof HubError) return error
  const full =
    (error as NodeJS.ErrnoException).code === 'ENOSPC' ||
    (error instanceof ToolError && error.stderr.includes('No space left'))
  if (full) return new HubError('INSUFFICIENT_STORAGE', 'The repository is full', { cause: error })
  return new HubError('SERVICE_UNAVAILABLE', 'The disk file could not be made', { cause: error })
}
