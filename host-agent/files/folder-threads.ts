/**
 * Does many things in a folder at once. Asking for each file by itself takes the event loop many times as long as the filesystem, and a
 * filesystem that hangs would hold a thread of the common pool for each; here it holds one thread, which nobody else waits for.
 */
import { Worker } from 'node:worker_threads'
import type { FileStat } from './entries.ts'
import type { Fingerprints } from './fingerprints.ts'
import {
  entryKind,
  type FolderTask,
  type FolderTasks,
  joinNames,
  memoryOf,
  splitNames,
  statFields,
  type Walk,
  type WalkedVolume,
} from './folder-tasks.ts'
import { unreadable } from './resolve.ts'

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './folder-worker.ts' : './folder-worker.js',
  import.meta.url,
)
const idle: Worker[] = []

const takeWorker = (): Worker => {
  const worker = idle.pop() ?? new Worker(workerFile)
  worker.ref()
  return worker
}
const giveBack = (worker: Worker) => {
  worker.unref()
  idle.push(worker)
}

/** Starts so many threads ahead of their first use. */
export const warmUpFolderThreads = (count = 1) => {
  for (const worker of Array.from({ length: count }, takeWorker)) giveBack(worker)
}

/** @throws SERVICE_UNAVAILABLE when the filesystem gives an error */
const ask = <Kind extends keyof FolderTasks>(
  kind: Kind,
  take: FolderTasks[Kind]['take'],
): Promise<FolderTasks[Kind]['give']> =>
  new Promise((resolve, reject) => {
    const worker = takeWorker()
    const onMessage = (result: FolderTasks[Kind]['give'] | { code: string }) => {
      worker.off('error', onError)
      giveBack(worker)
      if ('code' in result) reject(unreadable(result))
      else resolve(result)
    }
    const onError = (error: Error) => {
      worker.off('message', onMessage)
      reject(unreadable(error))
    }
    worker.once('message', onMessage)
    worker.once('error', onError)
    worker.postMessage({ kind, ...take } as FolderTask, memoryOf(take))
  })

const statAt = (stats: BigInt64Array, at: number): FileStat => {
  const [mode, size, mtimeNs, uid, gid] = stats.subarray(at * statFields.length, (at + 1) * statFields.length)
  return { mode: mode!, size: size!, mtimeNs: mtimeNs!, uid: uid!, gid: gid! }
}

export type Named = { name: Buffer; isDirectory: boolean; isSymlink: boolean }

/** All entries of an open folder, in no order. @throws SERVICE_UNAVAILABLE */
export const readFolder = async (fd: number): Promise<Named[]> => {
  const { names, kinds } = await ask('list', { fd })
  return splitNames(names).map((name, at) => ({
    name,
    isDirectory: kinds[at] === entryKind.directory,
    isSymlink: kinds[at] === entryKind.symlink,
  }))
}

/** lstat of names in an open folder, in their order. @throws SERVICE_UNAVAILABLE */
export const statMany = async (fd: number, names: readonly Buffer[]): Promise<FileStat[]> => {
  if (names.length === 0) return []
  const { stats } = await ask('stat', { fd, names: joinNames(names) })
  return names.map((_, at) => statAt(stats, at))
}

export type Looked = {
  stat: FileStat
  /** Of a file up to the size that was asked for, or where a symlink leads. */
  content: Buffer | null
  /** Why there is no content; null when there is, or is none to be had. */
  error: string | null
}

/** lstat of names in an open folder, and what small files and symlinks hold, in their order. @throws SERVICE_UNAVAILABLE */
export const readMany = async (fd: number, names: readonly Buffer[], fileBytesMax: number): Promise<Looked[]> => {
  const { stats, contents, ends, errors } = await ask('read', { fd, names: joinNames(names), fileBytesMax })
  const all = Buffer.from(contents.buffer)
  let from = 0
  return names.map((_, at) => {
    const end = ends[at]!
    const content = end < 0 ? null : all.subarray(from, end)
    if (end >= 0) from = end
    return { stat: statAt(stats, at), content, error: errors[at]! }
  })
}

/** Some thousand entries of a volume, as lines of an index, and what is still to be walked through. @throws SERVICE_UNAVAILABLE */
export const walkSome = (volume: WalkedVolume, known: Fingerprints, walk: Walk): Promise<FolderTasks['walk']['give']> =>
  ask('walk', { ...volume, known, ...walk })
