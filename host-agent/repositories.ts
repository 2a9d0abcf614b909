/** Folders that are repositories, the files in them, and nothing outside them. */
import { randomUUID } from 'node:crypto'
import {
  access,
  constants,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  rmdir,
  stat,
  statfs,
} from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { DiskChain, DiskFile, FileCheck, RepositoryPlace, RepositoryStorage } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { diskFolder } from '../contract/names.ts'
import { type NetworkShare, sourceOf } from '../contract/shares.ts'
import { syncPath } from '../durable/write-file.ts'
import { program, run } from './exec.ts'
import { checkHeader } from './exports/qcow2.ts'
import { Ledger, writeDurably } from './ledger.ts'
import { lock, probeLocks, unlock } from './locks.ts'
import { mountShare, unmountShare } from './shares.ts'
import { StorageWatch } from './storage-watch.ts'
import { isTrouble } from './trouble.ts'

/** `share`: mounted at the path by us. */
type Entry = { path: string; share?: NetworkShare }
export const identityFile = 'sendense-repository.json'
/** A storage that answers slower than this is reported as not answering. */
const storageTimeoutMs = 10_000
/** Longer than a mount command is given. */
const mountWaitMs = 35_000
/** The system's own folders, which no backup may be written into. */
const systemFolders = ['/bin', '/boot', '/dev', '/etc', '/lib', '/lib64', '/proc', '/run', '/sbin', '/sys', '/usr']

/** Tells disk files apart in maps. */
export const keyOfFile = (file: DiskFile) =>
  `${file.repository_id}/${file.vm_backup_context_id}/${file.disk_index}/${file.base}`

const within = (path: string, folder: string) => path === folder || path.startsWith(folder === '/' ? '/' : folder + sep)

const notAnswering = () =>
  new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer', { headers: { 'Retry-After': '10' } })

/** @throws SERVICE_UNAVAILABLE when a hung storage keeps the work from ending */
const inTime = async <T>(work: Promise<T>, timeoutMs = storageTimeoutMs): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(notAnswering()), timeoutMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

const measure = async (path: string): Promise<RepositoryStorage> => {
  const { bsize, blocks, bfree, bavail } = await statfs(path)
  return {
    total_bytes: blocks * bsize,
    used_bytes: (blocks - bfree) * bsize,
    available_bytes: bavail * bsize,
    mount_point: path,
  }
}

const testFailed = (details: string, cause?: unknown) =>
  new HubError('REPOSITORY_TEST_FAILED', 'The repository can not be used', { details, cause })

/** The real path of a folder that can hold backups. @throws REPOSITORY_TEST_FAILED */
const usableFolder = async (path: string): Promise<string> => {
  if (!path.startsWith('/') || path.includes('\0')) throw testFailed('the path must be absolute')
  let real: string
  try {
    real = await realpath(path)
    if (!(await stat(real)).isDirectory()) throw testFailed(`${path} is not a directory`)
  } catch (cause) {
    if (cause instanceof HubError) throw cause
    throw testFailed(`${path} is not reachable: ${(cause as NodeJS.ErrnoException).code}`, cause)
  }
  if (real === '/' || systemFolders.some((folder) => within(real, folder)))
    throw testFailed(`${path} belongs to the operating system`)
  try {
    await access(real, constants.W_OK)
    const probe = join(real, `.sendense-probe-${randomUUID()}`)
    const file = await open(probe, 'wx', 0o600)
    try {
      await file.writeFile('probe')
      await file.sync()
    } finally {
      await file.close()
      await rm(probe, { force: true })
    }
  } catch (cause) {
    throw testFailed(`${path} is not writable: ${(cause as NodeJS.ErrnoException).code}`, cause)
  }
  return real
}

/** @param hasLocks whether files in it must be lockable */
const testFolder = async (path: string, hasLocks: boolean): Promise<RepositoryStorage> => {
  const root = await usableFolder(path)
  if (hasLocks)
    await probeLocks(root).catch((cause: Error) => {
      throw testFailed('files in it can not be made immutable (chattr +i)', cause)
    })
  return measure(root)
}

export class Repositories {
  readonly #ledger: Ledger<Entry>
  readonly #entries = new Map<string, Entry>()
  readonly #credentials: string
  readonly #watch = new StorageWatch(
    () => [...this.#entries].flatMap(([id, { share }]) => (share ? [id] : [])),
    (id) => this.#lookAtShare(id),
  )

  constructor(stateDir: string) {
    this.#ledger = new Ledger(stateDir, 'repositories')
    this.#credentials = join(stateDir, 'credentials')
  }

  async open(): Promise<void> {
    await this.#ledger.open()
    for (const [id, entry] of await this.#ledger.all()) this.#entries.set(id, entry)
    // Whoever does not answer is mounted once it does; the others need not wait for it.
    await this.#watch.run()
  }

  /** Shares are let go; they stay known, and the next agent mounts them again. */
  async close(): Promise<void> {
    this.#watch.close()
    for (const [id, { share }] of this.#entries)
      if (share) await unmountShare(share, this.#credentials, id).catch(() => undefined)
  }

  /** @throws REPOSITORY_TEST_FAILED, SERVICE_UNAVAILABLE */
  async ensure(id: string, place: RepositoryPlace): Promise<RepositoryStorage> {
    const share = typeof place === 'string' ? undefined : place
    const path = share?.mount_point ?? (place as string)
    this.#refuseOverlap(id, path, share)
    const known = this.#entries.get(id)?.share
    // Other options, another password: what is mounted knows nothing of them.
    if (known && !isDeepStrictEqual(known, share)) await unmountShare(known, this.#credentials, id)
    else if (known && this.#watch.isHung(id)) throw notAnswering()
    if (share) await this.#mountAt(share, id)
    const root = await inTime(usableFolder(path))
    this.#refuseOverlap(id, root, share)
    await inTime(this.#writeIdentity(id, root))
    const entry: Entry = share ? { path: root, share } : { path: root }
    await this.#ledger.put(id, entry)
    this.#entries.set(id, entry)
    this.#watch.forget(id)
    return inTime(measure(root))
  }

  /** @throws REPOSITORY_TEST_FAILED, SERVICE_UNAVAILABLE */
  async test(place: RepositoryPlace, hasLocks = false): Promise<RepositoryStorage> {
    if (typeof place === 'string') return inTime(testFolder(place, hasLocks))
    if ([...this.#entries.values()].some(({ path }) => path === place.mount_point))
      return inTime(testFolder(place.mount_point, hasLocks))
    const id = `test-${process.pid}-${Date.now()}`
    let isOurs = false
    try {
      isOurs = await this.#mountAt(place, id)
      return await inTime(testFolder(place.mount_point, hasLocks))
    } finally {
      // What somebody else had mounted there stays.
      if (isOurs) await unmountShare(place, this.#credentials, id)
      // Ours when it was made for this; one that was there stays when it holds anything.
      await rmdir(place.mount_point).catch(() => undefined)
    }
  }

  #refuseOverlap(id: string, root: string, share: NetworkShare | undefined) {
    for (const [other, entry] of this.#entries) {
      if (other === id) continue
      const isSameShare = share && entry.share && sourceOf(share) === sourceOf(entry.share)
      if (isSameShare || within(root, entry.path) || within(entry.path, root))
        throw testFailed(`${share ? sourceOf(share) : root} overlaps another repository`)
    }
  }

  /** An empty folder that is nobody else's, or the one where it is mounted already. @returns whether this call mounted it */
  async #mountAt(share: NetworkShare, id: string): Promise<boolean> {
    const at = share.mount_point
    if (at === '/' || systemFolders.some((folder) => within(at, folder)))
      throw testFailed(`${at} belongs to the operating system`)
    return inTime(mountShare(share, this.#credentials, id), mountWaitMs)
  }

  /** In a process of its own: a hung share takes no thread of ours. */
  async #lookAtShare(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    if (!entry?.share) return
    await mountShare(entry.share, this.#credentials, id)
    await run(program.stat, ['--file-system', '--', join(entry.path, identityFile)], { timeoutMs: storageTimeoutMs })
  }

  async storage(id: string): Promise<RepositoryStorage> {
    const root = this.root(id)
    try {
      return await inTime(stat(join(root, identityFile)).then(() => measure(root)))
    } catch (cause) {
      if (cause instanceof HubError) throw cause
      throw new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer', { cause })
    }
  }

  async forget(id: string): Promise<void> {
    const entry = this.#entries.get(id)
    this.#entries.delete(id)
    this.#watch.forget(id)
    if (entry?.share) await unmountShare(entry.share, this.#credentials, id)
    await this.#ledger.remove(id)
  }

  /** @throws REPOSITORY_NOT_FOUND, SERVICE_UNAVAILABLE for a share that does not answer */
  root(id: string): string {
    const entry = this.#entries.get(id)
    if (!entry) throw new HubError('REPOSITORY_NOT_FOUND', 'The host-agent does not know this repository')
    if (this.#watch.isHung(id)) throw notAnswering()
    return entry.path
  }

  /** Absolute path of a disk's file, without its suffix. */
  diskPath(file: DiskFile): string {
    return join(this.root(file.repository_id), diskFolder(file.vm_backup_context_id, file.disk_index), file.base)
  }

  /** Absolute paths of a chain's QCOW2 files, newest first. */
  chainPaths(chain: DiskChain): string[] {
    return chain.bases.map((base) => `${this.diskPath({ ...chain, base })}.qcow2`)
  }

  /** Makes the folder of a disk, durably. */
  async ensureDiskFolder(file: DiskFile): Promise<void> {
    const folder = dirname(this.diskPath(file))
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const path of [folder, dirname(folder), this.root(file.repository_id)]) await syncPath(path)
  }

  /** What is there of a chain, and whether each file is what its place in the chain says. */
  async inspect(chain: DiskChain): Promise<FileCheck[]> {
    const paths = this.chainPaths(chain)
    return inTime(
      Promise.all(
        chain.bases.map(async (base, at): Promise<FileCheck> => {
          const path = paths[at]!
          try {
            const info = await lstat(path)
            if (!info.isFile()) throw new Error('is not a regular file')
            await checkHeader(path, chain.bases[at + 1] ? `${chain.bases[at + 1]}.qcow2` : null)
            const sealed = await stat(`${this.diskPath({ ...chain, base })}.manifest.json`).then(
              () => true,
              (error: unknown) => {
                if (isTrouble(error)) throw error
                return false
              },
            )
            return {
              base,
              exists: true,
              stored_bytes: info.blocks * 512,
              sealed,
              problem: sealed ? null : 'has no manifest',
            }
          } catch (error) {
            if (isTrouble(error)) throw error
            const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
            const problem = missing
              ? 'is missing'
              : `is damaged: ${(error instanceof HubError && error.details) || (error as Error).message}`
            return { base, exists: !missing, stored_bytes: 0, sealed: false, problem }
          }
        }),
      ),
    )
  }

  /** Removes one disk's file, manifest and checksums, then the folders that this emptied. */
  async deleteDiskFile(file: DiskFile): Promise<number> {
    const path = this.diskPath(file)
    const freed = await lstat(`${path}.qcow2`).then(
      (info) => info.blocks * 512,
      () => 0,
    )
    await unlock(path)
    // The manifest goes first: without it the rest is no restore point, whenever we are interrupted.
    for (const suffix of ['.manifest.json', '.blocks', '.qcow2', '.merge.json']) {
      await rm(path + suffix, { force: true })
      await rm(`${path}${suffix}.tmp`, { force: true })
    }
    const folder = dirname(path)
    await syncPath(folder).catch(ignoreMissing)
    if (await removeIfEmpty(folder)) await removeContext(dirname(folder))
    return freed
  }

  /** @throws CHAIN_BROKEN when it is no sealed file */
  async lock(file: DiskFile, until: Date): Promise<void> {
    const path = this.diskPath(file)
    await stat(`${path}.manifest.json`).catch((cause: unknown) => {
      if (isTrouble(cause)) throw cause
      throw new HubError('CHAIN_BROKEN', 'The file that is to be locked is not there', { details: file.base, cause })
    })
    await lock(path, until)
  }

  /** The real path of a file that is named by a path below a repository. @throws PATH_INVALID */
  async resolveInside(id: string, relativePath: string): Promise<string> {
    const root = this.root(id)
    const invalid = (cause?: unknown) =>
      new HubError('PATH_INVALID', 'The path is not a file inside a repository', { cause })
    let real: string
    try {
      real = await realpath(resolve(root, relativePath))
      if (!within(real, root) || !(await lstat(real)).isFile()) throw invalid()
    } catch (cause) {
      if (cause instanceof HubError) throw cause
      throw invalid(cause)
    }
    return real
  }

  /** Every id the folder ever had stays on record, so that files can be traced to the hub that wrote them. */
  async #writeIdentity(id: string, root: string) {
    const path = join(root, identityFile)
    const known = await readFile(path, 'utf8').then(
      (text) => JSON.parse(text) as { id?: string; previous_ids?: string[] },
      () => undefined,
    )
    if (known?.id === id) return
    const previous = [...(known?.previous_ids ?? []), ...(known?.id ? [known.id] : [])]
    const identity = { id, format_version: 1, created_at: new Date().toISOString(), previous_ids: previous }
    try {
      await writeDurably(path, `${JSON.stringify(identity, null, 2)}\n`, 0o644)
    } catch (cause) {
      throw testFailed(`can not write ${identityFile}`, cause)
    }
  }
}

const ignoreMissing = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error
}
const removeIfEmpty = (folder: string) =>
  rmdir(folder).then(
    () => true,
    () => false,
  )

/** context.json alone does not keep a folder: it only describes what is beside it. */
const removeContext = async (context: string) => {
  const left = await readdir(context).catch(() => [])
  if (left.every((name) => name.startsWith('context.json')))
    for (const name of left) await rm(join(context, name), { force: true })
  if (await removeIfEmpty(context)) await syncPath(dirname(context))
}
