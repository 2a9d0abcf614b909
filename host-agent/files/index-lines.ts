/** Every entry of a volume, as lines of JSON while it is being walked through. */
import type { Writable } from 'node:stream'
import { workThrough } from '../concurrency.ts'
import { joinNames, splitNames, type Walk } from './folder-tasks.ts'
import { walkSome } from './folder-threads.ts'
import type { PartitionRoot } from './resolve.ts'

/** Threads that walk. More than a small machine has processors: half of the time of a walk is waiting for the disk. */
const walksAtOnce = 4
/** Folders that one walk is given: the others are for another one. */
const foldersAtOnce = 200

const write = (target: Writable, data: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => target.write(data, (error) => (error ? reject(error) : resolve())))

/** Folders that can not be read are left out, and so is all that is below them. @param known marks of an earlier walk (index-slices.ts) */
export const writeIndexLines = (
  root: PartitionRoot,
  known: Uint8Array,
  target: Writable,
  signal: AbortSignal,
): Promise<void> => {
  const shared = new Uint8Array(new SharedArrayBuffer(known.length))
  shared.set(known)
  return workThrough<Walk>([walkOf([Buffer.alloc(0)])], walksAtOnce, async (walk) => {
    signal.throwIfAborted()
    const { lines, folders, ...begun } = await walkSome(root.handle.fd, shared, walk)
    await write(target, lines)
    const waiting = splitNames(folders)
    // The last one first: that goes on with what has been begun.
    const last = begun.names.length > 0 ? [waiting.pop()!] : []
    const walks = [] as Walk[]
    for (let at = 0; at < waiting.length; at += foldersAtOnce) walks.push(walkOf(waiting.slice(at, at + foldersAtOnce)))
    return [...walks, ...last.map((folder) => ({ folders: joinNames([folder]), ...begun }))]
  })
}

const walkOf = (folders: Buffer[]): Walk => ({
  folders: joinNames(folders),
  names: new Uint8Array(),
  from: 0,
  bits: 0,
  slice: 0,
})
