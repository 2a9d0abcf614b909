/** Every entry of a volume, as lines of JSON while it is being walked through. */
import type { Writable } from 'node:stream'
import { workThrough } from '../concurrency.ts'
import { joinNames, splitNames, type Walk } from './folder-tasks.ts'
import { walkSome } from './folder-threads.ts'
import type { PartitionRoot } from './resolve.ts'

/** Threads that walk. */
const walksAtOnce = 2
/** Folders that one walk is given: the others are for another one. */
const foldersAtOnce = 200

const write = (target: Writable, data: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => target.write(data, (error) => (error ? reject(error) : resolve())))

/** Folders that can not be read are left out, and so is all that is below them. */
export const writeIndexLines = (root: PartitionRoot, target: Writable, signal: AbortSignal): Promise<void> =>
  workThrough<Walk>([walkOf([Buffer.alloc(0)])], walksAtOnce, async (walk) => {
    signal.throwIfAborted()
    const { lines, folders, names, from } = await walkSome(root.handle.fd, walk)
    await write(target, lines)
    const waiting = splitNames(folders)
    // The last one first: that goes on with what has been begun.
    const begun = names.length > 0 ? [waiting.pop()!] : []
    const walks = [] as Walk[]
    for (let at = 0; at < waiting.length; at += foldersAtOnce) walks.push(walkOf(waiting.slice(at, at + foldersAtOnce)))
    return [...walks, ...begun.map((folder) => ({ folders: joinNames([folder]), names, from }))]
  })

const walkOf = (folders: Buffer[]): Walk => ({ folders: joinNames(folders), names: new Uint8Array(), from: 0 })
