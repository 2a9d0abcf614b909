/** What a thread for folders (folder-worker.ts) is asked, and what it answers. */
import type { Fingerprints } from './fingerprints.ts'
import type { OpenImage } from './inodes/inode-table.ts'

/** An open folder, and names in it, each with a NUL behind it: no name holds one. */
type Names = { fd: number; names: Uint8Array }
/** Numbers that a thread says of each name, in this order. */
export const statFields = ['mode', 'size', 'mtimeNs', 'uid', 'gid'] as const
export const entryKind = { other: 0, directory: 1, symlink: 2 } as const

/** A volume's uppermost folder, open, and what it is mounted from; `image`: undefined where that can not be read. */
export type WalkedVolume = { fd: number; image: OpenImage | undefined }
/**
 * Folders to be walked through, as records of Names with paths in the volume; of the last one only `names` from `from` on, when there are such: those of 2^bits slices
 * from `slice` on, as records of Names in the order of their hashes.
 */
export type Walk = { folders: Uint8Array; names: Uint8Array; from: number; bits: number; slice: number }

/** What a thread can be asked, and what it answers. */
export type FolderTasks = {
  /** All names of the folder, and an entryKind of each. */
  list: { take: { fd: number }; give: { names: Uint8Array; kinds: Uint8Array } }
  /** lstat of names: statFields of each. */
  stat: { take: Names; give: { stats: BigInt64Array } }
  /**
   * The same, and what symlinks and files up to `fileBytesMax` hold, one after the other in `contents`. A name's content ends at
   * `ends`, -1 where it has none; `errors` says why a file could not be read.
   */
  read: {
    take: Names & { fileBytesMax: number }
    give: { stats: BigInt64Array; contents: Uint8Array; ends: number[]; errors: (string | null)[] }
  }
  /**
   * Lines of an index (IndexedFolder) of some of the folders of a volume, and what is still to be walked through: these, and the folders found in them.
   * `known` are the fingerprints of an earlier walk; those of parts that begin at `kept` are overwritten with what is there now, those of others are in `prints`.
   */
  walk: {
    take: WalkedVolume & { known: Fingerprints } & Walk
    give: { lines: Uint8Array; kept: Uint32Array; prints: Uint8Array } & Walk
  }
}
export type FolderTask = { [Kind in keyof FolderTasks]: { kind: Kind } & FolderTasks[Kind]['take'] }[keyof FolderTasks]

/** Views of it. */
export const splitNames = (names: Uint8Array): Buffer[] => {
  const all = Buffer.from(names.buffer, names.byteOffset, names.byteLength)
  const parts: Buffer[] = []
  for (let from = 0; from < all.length; from = parts.at(-1)!.byteOffset - all.byteOffset + parts.at(-1)!.length + 1)
    parts.push(all.subarray(from, all.indexOf(0, from)))
  return parts
}

const zero = Buffer.alloc(1)
/** For `Names`. Memory of its own, which can be handed over. */
export const joinNames = (names: readonly Buffer[]): Uint8Array =>
  new Uint8Array(Buffer.concat(names.flatMap((name) => [name, zero])))

/** What of a message is handed over to the other thread, instead of being copied. */
export const memoryOf = (message: object): ArrayBuffer[] =>
  Object.values(message).flatMap((value) =>
    ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : [],
  )
