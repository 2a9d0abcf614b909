/** A thread's part of walking through a whole volume: some thousand entries at a time, in plain calls. */
import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs'
import type { IndexedEntry } from '../../contract/agent.ts'
import { indexedFolder, type Slices, sliceBits, sliceOf } from '../../contract/index-slices.ts'
import { safeSize } from './entries.ts'
import type { FolderTasks, Walk } from './folder-tasks.ts'
import { type Inode, type InodeTable, openInodeTable } from './inodes/inode-table.ts'
import { asSafe } from './inodes/mode.ts'
import { fileType, type Named, Names, said } from './names.ts'
import { readFolders, readPlainFolder } from './read-folders.ts'
import { pathBytesMax } from './resolve.ts'
import { type Folder, fromFolders, noNames, toFolders } from './walked-folders.ts'

/** Entries of one answer, about, and of one line. */
const entriesAtOnce = 20_000
const entriesOfLine = 5_000
/** Folders whose names are asked for at once grow by this, while they have few; and bytes of their paths at the most. */
const moreFolders = 8
const pathsBytesMax = 512 * 1024
/** One of these is looked at by lstat as well. */
const checkedOf = 512
const slash = Buffer.from('/')
/** Whole ones, of times before 1970 as well. */
const microseconds = (nanoseconds: bigint): number =>
  asSafe(Number(nanoseconds >= 0n ? nanoseconds / 1000n : (nanoseconds - 999n) / 1000n))

const kindOf = (stat: BigIntStats): IndexedEntry[1] =>
  stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : 'o'
/** Damage to one folder or file must not keep the rest from being found. */
const unlessDamaged = <T>(work: () => T): T | undefined => {
  try {
    return work()
  } catch {
    return undefined
  }
}
const typeOf = { f: fileType.file, d: fileType.folder, l: fileType.link }
/** Whether a folder said that a name is of such a kind. */
const isOfType = (type: number, kind: Inode['kind']) =>
  type === fileType.unknown || (kind === 'o' ? !Object.values(typeOf).includes(type as never) : typeOf[kind] === type)
/** To the second: some drivers tell no more. */
const isSame = (a: Inode, b: Inode) =>
  a.kind === b.kind && a.size === b.size && Math.floor(a.modified / 1e6) === Math.floor(b.modified / 1e6)

/**
 * Paths are said as a whole: finding each entry by way of its open folder takes the kernel as long again as the entry itself. That is safe here as nowhere else: nothing
 * changes in the volume, and every part of such a path was seen to be a folder. What lies deeper than a path can say is left out: nobody could ask for it.
 */
export const walkSome = (take: FolderTasks['walk']['take']): FolderTasks['walk']['give'] => {
  const { fd, image, filesystem, known, folders, ...begun } = take
  const table = openInodeTable(image, filesystem)
  try {
    return new SomeFolders(fd, table, known, toFolders(folders), begun).walk()
  } finally {
    table?.close()
  }
}

class SomeFolders {
  readonly #root: Buffer
  /** undefined, too, once it was seen to say anything else than lstat. */
  #table: InodeTable | undefined
  readonly #known: Uint8Array
  readonly #waiting: Folder[]
  #begun: Omit<Walk, 'folders'>
  readonly #lines: string[] = []
  #count = 0
  #looked = 0

  constructor(
    fd: number,
    table: InodeTable | undefined,
    known: Uint8Array,
    waiting: Folder[],
    begun: Omit<Walk, 'folders'>,
  ) {
    this.#root = Buffer.from(readlinkSync(`/proc/self/fd/${fd}`))
    this.#table = table
    this.#known = known
    this.#waiting = waiting
    this.#begun = begun
  }

  walk(): FolderTasks['walk']['give'] {
    let atOnce = 1
    while (this.#waiting.length > 0 && this.#count < entriesAtOnce) {
      if (this.#begun.names.length > 0) {
        this.#tellNextPart()
        continue
      }
      const folders = this.#next(atOnce)
      atOnce *= moreFolders
      this.#tellAll(folders, this.#namesOf(folders))
    }
    const lines = new Uint8Array(Buffer.from(this.#lines.join('')))
    return { lines, folders: fromFolders(this.#waiting), ...this.#begun }
  }

  #next(most: number): Folder[] {
    const folders: Folder[] = []
    for (let bytes = 0; folders.length < most && this.#waiting.length > 0 && bytes < pathsBytesMax; ) {
      folders.push(this.#waiting.pop()!)
      bytes += folders.at(-1)!.path.length + this.#root.length
    }
    return folders
  }

  #namesOf(folders: readonly Folder[]): Names[] {
    const table = this.#table
    const pathOf = ({ path }: Folder) => Buffer.concat([this.#root, path])
    if (!table) return folders.map((folder) => readPlainFolder(pathOf(folder)))
    if (!table.folder) return readFolders(folders.map(pathOf))
    return folders.map(
      (folder) => unlessDamaged(() => table.folder!(folder.inode || table.root)) ?? readPlainFolder(pathOf(folder)),
    )
  }

  /** The last one with very many is begun to be told in parts; others like that come later. */
  #tellAll(folders: readonly Folder[], names: readonly Names[]): void {
    const all = folders.map((folder, at) => ({ folder, names: names[at]!, bits: sliceBits(names[at]!.entries.length) }))
    const isLarge = ({ names }: (typeof all)[number]) => names.entries.length > entriesOfLine
    for (const { folder, names, bits } of all.filter((one) => !isLarge(one)))
      this.#waiting.push(...this.#tellSlices(folder, names, { bits, from: 0, to: 2 ** bits }))
    for (const { folder, names, bits } of all.filter(isLarge)) {
      const inOrder = names.entries.sort((a, b) => a.hash - b.hash)
      this.#waiting.push(folder)
      this.#begun = { names: Names.toRecords(names.bytes, inOrder), from: 0, bits, slice: 0 }
    }
  }

  /** Up to the end of a slice. */
  #tellNextPart(): void {
    const { names: records, from, bits, slice } = this.#begun
    const folder = this.#waiting.pop()!
    const all = Buffer.from(records.buffer, records.byteOffset, records.byteLength)
    const names = Names.fromRecords(all, from, endOfRecords(all, from, entriesOfLine))
    // All of the last slice.
    for (let to = names.entries.at(-1)!.end + 1; to < all.length; to = names.entries.at(-1)!.end + 1) {
      const next = Names.fromRecords(all, to, endOfRecords(all, to, 1)).entries[0]!
      if (sliceOf(next.hash, bits) !== sliceOf(names.entries.at(-1)!.hash, bits)) break
      names.entries.push(next)
    }
    const last = names.entries.at(-1)!
    const isWhole = last.end + 1 >= all.length
    const to = isWhole ? 2 ** bits : sliceOf(last.hash, bits) + 1
    this.#begun = isWhole ? noNames() : { names: records, from: last.end + 1, bits, slice: to }
    const found = this.#tellSlices(folder, names, { bits, from: slice, to })
    // Below the folder that has been begun, which stays the last.
    this.#waiting.push(...found, ...(isWhole ? [] : [folder]))
  }

  /** @returns the folders in it */
  #tellSlices({ path }: Folder, names: Names, slices: Slices): Folder[] {
    const { bytes } = names
    const prefix = Buffer.concat([this.#root, path, slash])
    const entries = names.entries.filter((entry) => this.#look(prefix, bytes, entry))
    this.#lines.push(indexedFolder(said(path), { entries, bytes }, slices, this.#known, said))
    this.#count += names.entries.length + 1
    return entries
      .filter(({ kind, start, end }) => kind === 'd' && path.length + end - start < pathBytesMax)
      .map(({ start, end, inode }) => ({ path: Buffer.concat([path, slash, bytes.subarray(start, end)]), inode }))
  }

  /** Fills in what it is. @returns whether it is there */
  #look(prefix: Buffer, bytes: Buffer, entry: Named): boolean {
    const { start, end, type, inode } = entry
    const kept = inode > 0 ? unlessDamaged(() => this.#table?.inode(inode)) : undefined
    if (kept && isOfType(type, kept.kind) && this.#looked++ % checkedOf > 0) return Boolean(Object.assign(entry, kept))
    const stat = unlessDamaged(() => lstatSync(Buffer.concat([prefix, bytes.subarray(start, end)]), { bigint: true }))
    const seen = stat && {
      kind: kindOf(stat),
      size: stat.isFile() ? safeSize(stat.size) : 0,
      modified: microseconds(stat.mtimeNs),
    }
    if (kept && !(seen && isSame(kept, seen))) this.#table = undefined
    if (!seen) return false
    // Where both are the same, what is kept may say more of the time.
    Object.assign(entry, kept && this.#table ? kept : seen)
    return true
  }
}

/** Behind so many records. */
const endOfRecords = (records: Buffer, from: number, count: number): number => {
  let at = from
  for (let left = count; left > 0 && at < records.length; left--) at = records.indexOf(0, at) + 1
  return at
}
