/** Every entry of a volume, as lines of JSON while it is being walked through. */
import { availableParallelism } from 'node:os'
import type { Writable } from 'node:stream'
import { inBatches, workThrough } from '../concurrency.ts'
import { toFingerprints } from './fingerprints.ts'
import type { Walk, WalkedVolume } from './folder-tasks.ts'
import { walkSome, warmUpFolderThreads } from './folder-threads.ts'
import { openUnkept } from './inodes/block-file.ts'
import { WalkFingerprints } from './walk-fingerprints.ts'
import { type Folder, fromFolders, noNames, toFolders } from './walked-folders.ts'

/** Threads that walk: beyond one for each processor they cost more to begin with than they save. */
const walksAtOnce = Math.max(2, Math.min(4, availableParallelism()))
/** Starts the threads of a walk that is to begin in a moment. */
export const warmUpWalk = () => warmUpFolderThreads(walksAtOnce)
/** Folders that one walk is given at the most, when there are enough for all: more of them are asked for their names at once. */
const foldersAtOnce = 1000

const write = (target: Writable, data: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => target.write(data, (error) => (error ? reject(error) : resolve())))

/** A volume's uppermost folder, open, and the device or file that it lies on, from some byte on. */
type IndexedVolume = { fd: number; image: string; offsetBytes: number; filesystem: string }
/**
 * Folders that can not be read are left out, and so is all that is below them.
 * @param known fingerprints of an earlier walk; in shared memory they are overwritten
 * @returns those of this one
 */
export const writeIndexLines = async (
  { fd, image, ...place }: IndexedVolume,
  known: Buffer,
  target: Writable,
  signal: AbortSignal,
): Promise<WalkFingerprints> => {
  // Where it can not be read, files are looked at by way of the mount.
  const file = await openUnkept(image).catch(() => undefined)
  try {
    return await walkThrough({ fd, image: file && { fd: file.fd, ...place } }, known, target, signal)
  } finally {
    await file?.close()
  }
}

const walkThrough = async (
  volume: WalkedVolume,
  known: Buffer,
  target: Writable,
  signal: AbortSignal,
): Promise<WalkFingerprints> => {
  const fingerprints = toFingerprints(known)
  const walked = new WalkFingerprints(fingerprints)
  const root = { path: Buffer.alloc(0), inode: 0 }
  await workThrough<Walk>([walkOf([root])], walksAtOnce, async (walk) => {
    signal.throwIfAborted()
    const { lines, kept, prints, folders, ...begun } = await walkSome(volume, fingerprints, walk)
    walked.add({ kept, prints })
    await write(target, lines)
    const waiting = toFolders(folders)
    // The last one first: that goes on with what has been begun.
    const last = begun.names.length > 0 ? [waiting.pop()!] : []
    const each = Math.min(foldersAtOnce, Math.ceil(waiting.length / walksAtOnce))
    const walks = waiting.length > 0 ? inBatches(waiting, each).map(walkOf) : []
    return [...walks, ...last.map((folder) => ({ folders: fromFolders([folder]), ...begun }))]
  })
  return walked
}

const walkOf = (folders: Folder[]): Walk => ({ folders: fromFolders(folders), ...noNames() })
