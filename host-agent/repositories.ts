/** Folders that are repositories, the files in them, and nothing outside them. */
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
import type { DiskChain, DiskFile, FileCheck, RepositoryStorage } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { diskFolder } from '../contract/names.ts'
import { syncPath } from '../durable/write-file.ts'
import { checkHeader } from './exports/qcow2.ts'
import { Ledger, writeDurably } from './ledger.ts'
import { isTrouble } from './trouble.ts'

type Entry = { path: string }
export const identityFile = 'sendense-repository.json'
/** A storage that answers slower than this is reported as not answering. */
const storageTimeoutMs = 10_000
/** The system's own folders, which no backup may be written into. */
const systemFolders = ['/bin', '/boot', '/dev', '/etc', '/lib', '/lib64', '/proc', '/run', '/sbin', '/sys', '/usr']

/** Tells disk files apart in maps. */
export const keyOfFile = (file: DiskFile) =>
  `${file.repository_id}/${file.vm_backup_context_id}/${file.disk_index}/${file.base}`

const within = (path: string, folder: string) => path === folder || path.startsWith(folder === '/' ? '/' : folder + sep)

/** @throws SERVICE_UNAVAILABLE when a hung storage keeps the work from ending */
const inTime = async <T>(work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HubError('SERVICE_UNAVAILABLE', 'The storage does not answer')),
      storageTimeoutMs,
    )
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
    const probe = join(real, `.sendense-probe-${process.pid}-${Date.now()}`)
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

export class Repositories {
  readonly #ledger: Ledger<Entry>
  readonly #roots = new Map<string, string>()

  constructor(stateDir: string) {
    this.#ledger = new Ledger(stateDir, 'repositories')
  }

  async open(): Promise<void> {
    await this.#ledger.open()
    for (const [id, { path }] of await this.#ledger.all()) this.#roots.set(id, path)
  }

  /** @throws REPOSITORY_TEST_FAILED, SERVICE_UNAVAILABLE */
  async ensure(id: string, path: string): Promise<RepositoryStorage> {
    const root = await inTime(usableFolder(path))
    for (const [other, folder] of this.#roots)
      if (other !== id && (within(root, folder) || within(folder, root)))
        throw testFailed(`${path} overlaps another repository`)
    await this.#writeIdentity(id, root)
    await this.#ledger.put(id, { path: root })
    this.#roots.set(id, root)
    return inTime(measure(root))
  }

  /** @throws REPOSITORY_TEST_FAILED, SERVICE_UNAVAILABLE */
  async test(path: string): Promise<RepositoryStorage> {
    return inTime(usableFolder(path).then(measure))
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
    this.#roots.delete(id)
    await this.#ledger.remove(id)
  }

  /** @throws REPOSITORY_NOT_FOUND */
  root(id: string): string {
    const root = this.#roots.get(id)
    if (!root) throw new HubError('REPOSITORY_NOT_FOUND', 'The host-agent does not know this repository')
    return root
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
