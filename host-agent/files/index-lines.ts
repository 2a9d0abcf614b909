/** Every entry of a volume, as lines of JSON while it is being walked through. */
import { availableParallelism } from 'node:os'
import type { Writable } from 'node:stream'
import type { Coming } from '../../contract/json-and-bytes.ts'
import { inBatches, workThrough } from '../concurrency.ts'
import { type Fingerprints, readFingerprints } from './fingerprints.ts'
import type { Walk, WalkedVolume } from './folder-tasks.ts'
import { walkSome, warmUpFolderThreads } from './folder-threads.ts'
import { openUnkept } from './inodes/block-file.ts'
import type { Content } from './volume-reader.ts'
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
 * Folders that can not be read are left out, and so is all that is below them. The uppermost folder is looked at while what is known of the others comes: before it is told,
 * there is nothing else to do.
 * @param coming fingerprints that an earlier walk told @throws VALIDATION_FAILED for more or fewer than was said
 */
export const openIndex = async ({ fd, image, ...place }: IndexedVolume, coming: Coming): Promise<Content> => {
  // Where it can not be read, files are looked at by way of the mount.
  const file = await openUnkept(image).catch(() => undefined)
  const volume = { fd, image: file && { fd: file.fd, ...place } }
  const root = { path: Buffer.alloc(0), inode: 0 }
  const known = readFingerprints(coming)
  const begun = known.first.then((first) => walkSome(volume, first, walkOf([root])))
  try {
    const [uppermost, all] = await Promise.all([begun, known.all])
    return (target, signal) => walkThrough(volume, uppermost, all, target, signal).finally(() => file?.close())
  } catch (error) {
    // It reads from that file.
    await begun.catch(() => undefined)
    await file?.close()
    throw error
  }
}

type Told = Awaited<ReturnType<typeof walkSome>>

/** @param uppermost what the uppermost folder is, and what was found in it */
const walkThrough = async (
  volume: WalkedVolume,
  uppermost: Told,
  known: Fingerprints,
  target: Writable,
  signal: AbortSignal,
): Promise<void> => {
  /** @returns what is still to be walked through */
  const tell = async ({ lines, folders, ...begun }: Told): Promise<Walk[]> => {
    await write(target, lines)
    const waiting = toFolders(folders)
    // The last one first: that goes on with what has been begun.
    const last = begun.names.length > 0 ? [waiting.pop()!] : []
    const each = Math.min(foldersAtOnce, Math.ceil(waiting.length / walksAtOnce))
    const walks = waiting.length > 0 ? inBatches(waiting, each).map(walkOf) : []
    return [...walks, ...last.map((folder) => ({ folders: fromFolders([folder]), ...begun }))]
  }
  await workThrough(await tell(uppermost), walksAtOnce, async (walk) => {
    signal.throwIfAborted()
    return tell(await walkSome(volume, known, walk))
  })
}

const walkOf = (folders: Folder[]): Walk => ({ folders: fromFolders(folders), ...noNames() })
