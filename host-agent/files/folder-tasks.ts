/** What a thread for folders (folder-worker.ts) is asked, and what it answers. */

/** An open folder, and names in it, each with a NUL behind it: no name holds one. */
type Names = { fd: number; names: Uint8Array }
/** Numbers that a thread says of each name, in this order. */
export const statFields = ['mode', 'size', 'mtimeNs', 'uid', 'gid'] as const
export const entryKind = { other: 0, directory: 1, symlink: 2 } as const

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
}
export type FolderTask = { [Kind in keyof FolderTasks]: { kind: Kind } & FolderTasks[Kind]['take'] }[keyof FolderTasks]

/** Names as they are in an array of bytes; views of it. */
export const splitNames = (names: Uint8Array): Buffer[] => {
  const all = Buffer.from(names.buffer, names.byteOffset, names.byteLength)
  const parts: Buffer[] = []
  for (let from = 0, end = 0; from < all.length; from = end + 1) {
    end = all.indexOf(0, from)
    parts.push(all.subarray(from, end))
  }
  return parts
}

const zero = Buffer.alloc(1)
/** For `Names`. Memory of its own, which can be handed over. */
export const joinNames = (names: readonly Buffer[]): Uint8Array =>
  new Uint8Array(Buffer.concat(names.flatMap((name) => [name, zero])))
