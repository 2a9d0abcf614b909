/** An agent in memory, for tests of functions and workflows alone. It passes the same suite as the real one (test/support/agent-suite.ts). */
import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type {
  AgentApi,
  ArchiveBody,
  CopyBody,
  CopyState,
  Damage,
  DigestBody,
  DigestLine,
  DiskChain,
  DiskFile,
  EndedMount,
  ExportBody,
  ExportState,
  FetchBody,
  GuestPath,
  IndexBody,
  IndexedEntry,
  IndexLine,
  LockBody,
  MergeBody,
  MergeState,
  MountBody,
  MountState,
  RepositoryPlace,
  VerifyBody,
  VerifyState,
} from '../../contract/agent.ts'
import type { Examination } from '../../contract/api/doctor.ts'
import type { Entry, Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { toldFolders } from '../support/told-folders.ts'

export const keyOf = (file: DiskFile) =>
  `${file.repository_id}/${file.vm_backup_context_id}/${file.disk_index}/${file.base}`
const firstPid = 900_000
const time = '2026-01-02T03:04:05Z'

const pathOf = (place: RepositoryPlace) => (typeof place === 'string' ? place : place.mount_point)

type File = { sealed: boolean; storedBytes: number; damaged?: boolean; mergedFrom?: string; lockedUntil?: string }

export class FakeAgent implements AgentApi {
  readonly repositories = new Map<string, string>()
  readonly places = new Map<string, RepositoryPlace>()
  readonly files = new Map<string, File>()
  readonly exports = new Map<string, { state: ExportState; body: ExportBody }>()
  readonly mounts = new Map<string, MountState>()
  readonly ended: EndedMount[] = []
  examination: Examination = {
    state: 'never',
    started_at: null,
    ended_at: null,
    finding_count: 0,
    findings: [],
    error: null,
  }
  /** Directories as null, files as their content; the same on every mount. */
  readonly tree = new Map<string, string | null>([
    ['/', null],
    ['/etc', null],
    ['/etc/hostname', 'guest\n'],
    ['/empty', ''],
  ])
  /** What single restore points hold instead, by the keys of their files. */
  readonly trees = new Map<string, Map<string, string | null>>()
  /** What walks that are kept saw in each folder. */
  walks = new Map<string, ReadonlyMap<string, IndexedEntry[]>>()
  /** What `readIndex` has told, the last one last. */
  readonly toldIndexes: string[] = []
  /** Times of files by their paths, in seconds. */
  readonly modified = new Map<string, number>()
  /** Of those, what is neither file nor directory: a FIFO, say. */
  readonly special = new Set<string>()
  /** Folders that can be no repository. */
  readonly badPaths = new Set<string>()
  /** Files of repositories that can not be exported, by their relative path. */
  readonly brokenFiles = new Set<string>()
  /** Ports that somebody else sits on. */
  readonly busyPorts = new Set<number>()
  /** Chains that hold a filesystem, by the key of their newest file; others are blank disks. */
  readonly mountable = new Set<string>()
  /** Every call fails as if the agent were gone. */
  down = false
  /** Repositories, by id, whose storage does not answer. */
  readonly silent = new Set<string>()
  storage = { total_bytes: 1e12, used_bytes: 1e11, available_bytes: 9e11 }
  maxMounts = 8
  #pid = firstPid

  #check() {
    if (this.down) throw new HubError('SERVICE_UNAVAILABLE', 'The host-agent does not answer')
  }

  async health() {
    this.#check()
    return {
      status: 'ok' as const,
      version: 'fake',
      uptime_seconds: 1,
      attach_backend: 'userspace' as const,
      machines: 'kvm' as const,
      qemu_version: 'fake',
      exports: this.exports.size,
      mounts: this.mounts.size,
      max_mounts: this.maxMounts,
    }
  }

  async ensureRepository(id: string, place: RepositoryPlace) {
    const measured = await this.testRepository(place)
    this.repositories.set(id, pathOf(place))
    this.places.set(id, place)
    return measured
  }
  /** Folders whose files can not be locked. */
  readonly lockless = new Set<string>()
  async testRepository(place: RepositoryPlace, locks = false) {
    this.#check()
    const path = pathOf(place)
    if (this.badPaths.has(path) || path.includes('/missing'))
      throw new HubError('REPOSITORY_TEST_FAILED', 'The repository can not be used', {
        details: `${path} is not reachable`,
      })
    if (locks && this.lockless.has(path))
      throw new HubError('REPOSITORY_TEST_FAILED', 'The repository can not be used', {
        details: 'files in it can not be made immutable (chattr +i)',
      })
    return { ...this.storage, mount_point: path }
  }
  async repositoryStorage(id: string) {
    this.#check()
    return { ...this.storage, mount_point: this.#root(id) }
  }
  async forgetRepository(id: string) {
    this.#check()
    this.repositories.delete(id)
  }
  #root(id: string) {
    const root = this.repositories.get(id)
    if (!root) throw new HubError('REPOSITORY_NOT_FOUND', 'The host-agent does not know this repository')
    if (this.silent.has(id)) throw new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer')
    return root
  }

  async ensureExport(name: string, body: ExportBody) {
    this.#check()
    const present = this.exports.get(name)
    if (present) {
      if (
        present.state.job_id === body.job_id &&
        present.state.port === body.port &&
        present.state.status === 'writing'
      )
        return present.state
      throw new HubError('EXPORT_IN_USE', `The export ${name} is in use`)
    }
    if (this.busyPorts.has(body.port)) throw new HubError('PORT_IN_USE', `Port ${body.port} is in use`)
    const path =
      body.kind === 'new'
        ? `${this.#root(body.file.repository_id)}/${body.file.vm_backup_context_id}/disk-${body.file.disk_index}/${body.file.base}.qcow2`
        : `${this.#root(body.repository_id)}/${body.relative_path}`
    if (body.kind === 'new') {
      if (this.files.has(keyOf(body.file))) throw new HubError('EXPORT_IN_USE', 'A file of this name is there already')
      const parents = body.parent_bases.map((base) => keyOf({ ...body.file, base }))
      if (parents.some((key) => !this.files.get(key)?.sealed))
        throw new HubError('CHAIN_BROKEN', 'The backup that this one builds on is damaged')
      this.files.set(keyOf(body.file), { sealed: false, storedBytes: 196_608 })
    } else if (this.brokenFiles.has(body.relative_path)) throw new HubError('CHAIN_BROKEN', 'The chain has no end')
    else if (body.relative_path.includes('..') || body.relative_path.includes('missing'))
      throw new HubError('PATH_INVALID', 'The path is not a file inside a repository')
    const state: ExportState = {
      export_name: name,
      kind: body.kind,
      job_id: body.job_id,
      status: 'writing',
      port: body.port,
      pid: ++this.#pid,
      process_start: '1',
      path,
      read_only: body.kind === 'existing' && body.read_only,
      shared_limit: body.shared_connections,
      connection_count: 0,
      uptime_seconds: 0,
      error_message: null,
      sealed_bytes: 0,
      total_bytes: body.kind === 'new' ? body.virtual_size_bytes : 0,
      stored_bytes: 0,
      change_id: null,
      manifest_digest: null,
    }
    this.exports.set(name, { state, body })
    return state
  }
  async listExports() {
    this.#check()
    return [...this.exports.values()].map(({ state }) => state)
  }
  async getExport(name: string) {
    this.#check()
    const found = this.exports.get(name)
    if (!found) throw new HubError('EXPORT_NOT_FOUND', `There is no export ${name}`)
    return found.state
  }
  async sealExport(name: string, body: Parameters<AgentApi['sealExport']>[1]) {
    const state = await this.getExport(name)
    const file = this.exports.get(name)!.body
    if (state.status !== 'writing' || file.kind !== 'new') return state
    this.files.set(keyOf(file.file), { sealed: true, storedBytes: 196_608 })
    Object.assign(state, {
      status: 'sealed',
      pid: null,
      sealed_bytes: state.total_bytes,
      stored_bytes: 196_608,
      change_id: body.change_id,
      manifest_digest: '0'.repeat(64),
    })
    return state
  }
  async dropExport(name: string, deleteFile: boolean) {
    this.#check()
    const found = this.exports.get(name)
    this.exports.delete(name)
    if (found && deleteFile && found.body.kind === 'new') this.files.delete(keyOf(found.body.file))
    return { stopped_pid: found?.state.pid ?? null }
  }

  async inspectChain(chain: DiskChain) {
    this.#check()
    return chain.bases.map((base) => {
      const file = this.files.get(keyOf({ ...chain, base }))
      return {
        base,
        exists: file !== undefined,
        stored_bytes: file?.storedBytes ?? 0,
        sealed: file?.sealed ?? false,
        problem: !file ? 'is missing' : file.sealed ? null : 'has no manifest',
      }
    })
  }
  async verifyFile({ chain }: VerifyBody): Promise<VerifyState> {
    this.#check()
    this.#root(chain.repository_id)
    const file = `${chain.bases[0]}.qcow2`
    const known = this.files.get(keyOf({ ...chain, base: chain.bases[0]! }))
    const damage = (of: string, kind: Damage['kind'], detail: string): Damage => ({
      file: of,
      kind,
      offset_bytes: kind === 'data' ? 0 : null,
      length_bytes: kind === 'data' ? 4_194_304 : null,
      detail,
    })
    const damages =
      known?.sealed !== true
        ? [damage(`${chain.bases[0]}.manifest.json`, 'missing', 'is missing')]
        : known.damaged
          ? [damage(file, 'data', 'the data does not match its checksum')]
          : []
    return { status: 'done', done_bytes: 1024, total_bytes: 1024, damages }
  }
  async stopVerify() {
    this.#check()
  }
  async lockFile({ file, until }: LockBody) {
    this.#check()
    const known = this.files.get(keyOf(file))
    if (!known?.sealed) throw new HubError('CHAIN_BROKEN', 'The file that is to be locked is not there')
    if (!known.lockedUntil || known.lockedUntil < until) known.lockedUntil = until
  }
  async deleteDiskFile(file: DiskFile) {
    this.#check()
    const known = this.files.get(keyOf(file))
    if (known?.lockedUntil !== undefined && known.lockedUntil > new Date().toISOString())
      throw new HubError('IMMUTABLE_RETENTION_ACTIVE', 'The backup is protected by its repository')
    this.files.delete(keyOf(file))
    return { freed_bytes: known?.storedBytes ?? 0 }
  }

  async copyFile({ file, to_repository_id, replace }: CopyBody): Promise<CopyState> {
    this.#check()
    this.#root(to_repository_id)
    this.#root(file.repository_id)
    const source = this.files.get(keyOf(file))
    if (source?.sealed !== true || source.damaged)
      throw new HubError('CHAIN_BROKEN', 'The file that is to be copied is damaged', { details: `${file.base}.qcow2` })
    const target = keyOf({ ...file, repository_id: to_repository_id })
    if (replace || !this.files.has(target)) this.files.set(target, { ...source })
    return { status: 'done', done_bytes: source.storedBytes, total_bytes: source.storedBytes }
  }
  async stopCopy() {
    this.#check()
  }

  async mergeFile({ disk, base, into_base, step }: MergeBody): Promise<MergeState> {
    this.#check()
    this.#root(disk.repository_id)
    const [parent, child] = [base, into_base].map((name) => keyOf({ ...disk, base: name })) as [string, string]
    const into = this.files.get(child)
    const isDone = !this.files.has(parent) && into?.mergedFrom === base
    if (
      !isDone &&
      (!into?.sealed || !this.files.get(parent)?.sealed || (step === 'finish' && into.mergedFrom !== base))
    )
      throw new HubError('CHAIN_BROKEN', 'These restore points can not be merged', { details: into_base })
    const isUsed =
      step !== 'check' &&
      [...this.exports.values()].some(
        ({ state, body }) =>
          state.status !== 'sealed' &&
          body.kind === 'new' &&
          keyOf({ ...body.file, base: '' }) === keyOf({ ...disk, base: '' }),
      )
    if (isUsed) throw new HubError('CHAIN_IN_USE', 'Files of this chain are in use')
    if (step === 'prepare') into!.mergedFrom = base
    if (step === 'finish') {
      into!.storedBytes += this.files.get(parent)?.storedBytes ?? 0
      this.files.delete(parent)
    }
    const stored_bytes = step === 'finish' ? into!.storedBytes : 0
    return { status: 'done', done_bytes: 0, total_bytes: 0, stored_bytes }
  }

  async ensureMount(id: string, { disks }: MountBody) {
    this.#check()
    const present = this.mounts.get(id)
    if (present) return present
    if (this.mounts.size >= this.maxMounts)
      throw new HubError('RESTORE_SLOTS_EXHAUSTED', 'All restore slots are in use', {
        extra: { active_mounts: this.mounts.size, max_mounts: this.maxMounts },
      })
    const keys = disks.flatMap(({ bases, ...chain }) => bases.map((base) => keyOf({ ...chain, base })))
    if (keys.some((key) => !this.files.has(key))) throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing')
    const mounted = this.mountable.has(keys[0]!)
    const partition: Partition = {
      number: 0,
      name: 'loop90',
      disk_index: disks[0]!.disk_index,
      kind: 'whole_disk',
      size_bytes: 1024,
      filesystem: mounted ? 'ext4' : null,
      label: null,
      type: 'data',
      mounted,
      mount_path: mounted ? `/fake/${id}/partition-0` : null,
      is_default: mounted,
      reason: mounted ? null : 'no known filesystem',
      locked: false,
      guest_path: null,
      journal: mounted ? 'clean' : null,
      reader: mounted ? 'sandbox' : null,
    }
    if (!mounted)
      throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No partition of this disk can be mounted', {
        extra: { partitions: [partition] },
      })
    const now = new Date()
    const state: MountState = {
      mount_id: id,
      status: 'mounted',
      device: `/dev/loop-${randomUUID().slice(0, 8)}`,
      mount_path: `/fake/${id}`,
      filesystem_type: 'ext4',
      default_partition: 0,
      partitions: [partition],
      guest: null,
      created_at: now.toISOString(),
      last_accessed_at: now.toISOString(),
      expires_at: new Date(now.getTime() + 3_600_000).toISOString(),
    }
    this.mounts.set(id, state)
    return state
  }
  async listMounts() {
    this.#check()
    return { mounts: [...this.mounts.values()], ended: this.ended }
  }
  async getMount(id: string) {
    this.#check()
    const mount = this.mounts.get(id)
    if (!mount) throw new HubError('MOUNT_NOT_FOUND', 'There is no such mount')
    return mount
  }
  async removeMount(id: string, reason: EndedMount['reason']) {
    this.#check()
    if (this.mounts.delete(id)) this.ended.push({ mount_id: id, ended_at: new Date().toISOString(), reason })
  }

  async #find(id: string, { partition, path_b64 }: GuestPath): Promise<{ path: string; content: string | null }> {
    await this.getMount(id)
    if (partition !== undefined && partition !== 0)
      throw new HubError('PARTITION_NOT_FOUND', `Partition ${partition} is not there`)
    return this.#resolve(path_b64)
  }
  #resolve(path_b64: string): { path: string; content: string | null } {
    const parts: string[] = []
    for (const part of Buffer.from(path_b64, 'base64').toString().split('/')) {
      if (part === '' || part === '.') continue
      if (part !== '..') parts.push(part)
      else if (parts.pop() === undefined) throw new HubError('PATH_FORBIDDEN', 'The path leaves the partition')
    }
    const path = `/${parts.join('/')}`
    const content = this.tree.get(path)
    if (content === undefined) throw new HubError('FILE_NOT_FOUND', 'There is no such file or directory')
    return { path, content }
  }
  #entry(path: string, content: string | null): Entry {
    return {
      name: path === '/' ? '/' : path.slice(path.lastIndexOf('/') + 1),
      path,
      type: content === null ? 'directory' : 'file',
      size: content?.length ?? 0,
      mode: content === null ? '0755' : '0644',
      modified_time: time,
      is_symlink: false,
      symlink_target: null,
      path_b64: null,
      special: this.special.has(path),
    }
  }
  async listFiles(id: string, body: Parameters<AgentApi['listFiles']>[1]) {
    const { path, content } = await this.#find(id, body)
    if (content !== null) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
    const prefix = path === '/' ? '/' : `${path}/`
    const all = [...this.tree]
      .filter(
        ([name]) =>
          name !== '/' && name.startsWith(prefix) && (body.recursive || !name.slice(prefix.length).includes('/')),
      )
      .map(([name, text]) => this.#entry(name, text))
    all.sort(
      (a, b) =>
        (body.recursive ? 0 : Number(b.type === 'directory') - Number(a.type === 'directory')) ||
        (a.path < b.path ? -1 : 1),
    )
    return {
      partition: 0,
      path,
      entries: all.slice(body.offset, body.offset + body.limit),
      total_count: all.length,
      truncated: false,
    }
  }
  async fileInfo(id: string, guest: GuestPath) {
    const { path, content } = await this.#find(id, guest)
    return this.#info(path, content)
  }
  #info(path: string, content: string | null) {
    return {
      ...this.#entry(path, content),
      accessed_time: time,
      created_time: null,
      uid: 0,
      gid: 0,
      streams: [],
      partition: 0,
      etag: `"${content?.length ?? 0}"`,
      modified_http: new Date(time).toUTCString(),
    }
  }
  async readFile(id: string, body: Parameters<AgentApi['readFile']>[1]) {
    const { content } = await this.#find(id, body)
    if (content === null) throw new HubError('IS_DIRECTORY', 'The path is a directory')
    return Readable.from([Buffer.from(content).subarray(body.start, body.start + body.length)])
  }
  async readArchive(id: string, { only_b64 = [], format: _f, checksums: _c, ...body }: ArchiveBody) {
    const { content, path } = await this.#find(id, body)
    if (content !== null) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
    for (const name of only_b64) {
      const inside = `${path === '/' ? '' : path}/${Buffer.from(name, 'base64').toString()}`
      await this.#find(id, { ...body, path_b64: Buffer.from(inside).toString('base64') })
    }
    return Readable.from([Buffer.from('an archive')])
  }
  /** Of every restore point the same: the tree as one volume. */
  async readIndex({ disks, walk = null }: IndexBody) {
    this.#check()
    const key = keyOf({ ...disks[0]!, base: disks[0]!.bases[0]! })
    if (!this.files.has(key)) throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing')
    const folders = new Map<string, IndexedEntry[]>()
    for (const [path, content] of this.trees.get(key) ?? this.tree) {
      if (path === '/') continue
      const slash = path.lastIndexOf('/')
      const entries = folders.get(path.slice(0, slash)) ?? []
      const modified = (this.modified.get(path) ?? 1) * 1e6
      entries.push([path.slice(slash + 1), content === null ? 'd' : 'f', content?.length ?? 0, modified])
      folders.set(path.slice(0, slash), entries)
    }
    const volume = 'disk 0 partition 0'
    const walkOf = (at: number) => `${walk!.vm_backup_context_id} ${at}`
    const before = walk && walk.since !== null ? this.walks.get(walkOf(walk.since)) : undefined
    if (walk) this.walks.set(walkOf(walk.at), folders)
    const lines = [`${JSON.stringify({ volume } satisfies IndexLine)}\n`]
    for (const [folder, entries] of folders)
      for (const line of toldFolders(folder, entries, before?.get(folder))) lines.push(`${JSON.stringify(line)}\n`)
    lines.push(`${JSON.stringify({ end: true } satisfies IndexLine)}\n`)
    this.toldIndexes.push(lines.join(''))
    return Readable.from(lines.map((line) => Buffer.from(line)))
  }
  async readDigests({ disks, volume, paths_b64 }: DigestBody) {
    this.#check()
    const key = keyOf({ ...disks[0]!, base: disks[0]!.bases[0]! })
    if (!this.files.has(key)) throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing')
    if (volume !== 'disk 0 partition 0') throw new HubError('PARTITION_NOT_FOUND', `There is no volume ${volume}`)
    const tree = this.trees.get(key) ?? this.tree
    const lines = paths_b64.flatMap((path, at) => {
      const content = tree.get(Buffer.from(path, 'base64').toString())
      return content === null || content === undefined
        ? []
        : [[at, createHash('sha256').update(content).digest('hex')] satisfies DigestLine]
    })
    return Readable.from(
      ['\n', ...[...lines, 'end'].map((line) => `${JSON.stringify(line)}\n`)].map((line) => Buffer.from(line)),
    )
  }
  async fetchFile({ disks, volume, path_b64 }: FetchBody) {
    this.#check()
    const key = keyOf({ ...disks[0]!, base: disks[0]!.bases[0]! })
    if (!this.files.has(key)) throw new HubError('CHAIN_BROKEN', 'A file of the chain is missing')
    if (!this.mountable.has(key)) throw new HubError('NO_MOUNTABLE_FILESYSTEM', 'No volume of this disk can be mounted')
    if (volume !== 'disk 0 partition 0') throw new HubError('PARTITION_NOT_FOUND', `There is no volume ${volume}`)
    const { path, content } = this.#resolve(path_b64)
    if (content === null) throw new HubError('IS_DIRECTORY', 'The path is a directory')
    if (this.special.has(path)) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
    return { info: this.#info(path, content), content: Readable.from([Buffer.from(content)]) }
  }
  async cleanupState() {
    this.#check()
    return {
      running: true,
      interval_seconds: 300,
      idle_seconds: 3600,
      active_mount_count: this.mounts.size,
      expired_mount_count: 0,
      last_cleanup: null,
      total_cleanups: 0,
      last_error: null,
    }
  }
  async startExamination() {
    this.#check()
    this.examination = { ...this.examination, state: 'running', started_at: time }
    return this.examination
  }
  async lastExamination() {
    this.#check()
    return this.examination
  }
}
