/** A thread's part of walking through a whole volume: some thousand entries at a time, in plain calls. */
import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs'
import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { sliceBits, sliceOf } from '../../contract/index-slices.ts'
import { safeSize } from './entries.ts'
import {
  type Changed,
  type Fingerprints,
  FolderPrint,
  findFingerprint,
  type KnownPart,
  type Over,
  placeOf,
} from './fingerprints.ts'
import type { FolderTasks, Walk } from './folder-tasks.ts'
import { type Inode, type InodeTable, openInodeTable } from './inodes/inode-table.ts'
import { asSafe } from './inodes/mode.ts'
import { fileType, hashOfName, type Named, Names, said } from './names.ts'
import { readFolders, readPlainFolder } from './read-folders.ts'
import { pathBytesMax } from './resolve.ts'
import { type Folder, fromFolders, noNames, toFolders } from './walked-folders.ts'

/** Entries of one answer, about, and of one line. */
const entriesAtOnce = 20_000
const entriesOfLine = 5_000
/** Folders whose names are asked for at once grow by this, while they have few; and bytes of their paths at the most. */
const moreFolders = 8
const pathsBytesMax = 512 * 1024
/** Of so many one is looked at by lstat as well. */
const checkedOf = 2048
/** The same of folders whose names are not read, where their paths lead nowhere. */
const foldersCheckedOf = 32
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
/** What slices of a folder are told: `from` to `to` of 2^bits. */
type Slices = Pick<IndexedFolder, 'bits' | 'from' | 'to'>

const seenAs = (stat: BigIntStats): Inode => ({
  kind: kindOf(stat),
  size: stat.isFile() ? safeSize(stat.size) : 0,
  modified: microseconds(stat.mtimeNs),
})
const lineOf = (
  path: Buffer,
  slices: Slices,
  same: number | null,
  entries: IndexedEntry[],
  unnamed: Changed[],
): IndexedFolder => ({
  folder: said(path),
  ...slices,
  same,
  entries,
  unnamed,
})

/** For a walk that takes the last one first: what lies together on the disk is read together. */
const asTheyLie = (folders: Folder[]): Folder[] => folders.sort((a, b) => b.inode - a.inode)
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
  const { fd, image, known, folders, ...begun } = take
  const table = image && openInodeTable(image)
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
  readonly #known: Fingerprints
  readonly #waiting: Folder[]
  #begun: Omit<Walk, 'folders'>
  readonly #lines: string[] = []
  /** Fingerprints of what was told: where those of known parts lie, which are overwritten there, and new ones. */
  readonly #kept: number[] = []
  readonly #prints: Buffer[] = []
  #count = 0
  #looked = 0
  #unread = 0

  constructor(
    fd: number,
    table: InodeTable | undefined,
    known: Fingerprints,
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
    // Who is given many has few names in each, most likely.
    let atOnce = this.#waiting.length > moreFolders ? 2 * moreFolders : 1
    // Below the uppermost folder there may be something to do for others, too.
    const most = this.#waiting.length === 1 && this.#waiting[0]!.path.length === 0 ? 1 : entriesAtOnce
    while (this.#waiting.length > 0 && this.#count < most) {
      if (this.#begun.names.length > 0) this.#tellNextPart()
      else if (this.#tellSome(atOnce)) atOnce *= moreFolders
      else atOnce = 1
    }
    const lines = new Uint8Array(Buffer.from(this.#lines.join('')))
    const [kept, prints] = [Uint32Array.from(this.#kept), new Uint8Array(Buffer.concat(this.#prints))]
    return { lines, kept, prints, folders: fromFolders(this.#waiting), ...this.#begun }
  }

  /** @returns whether so many could be told */
  #tellSome(atOnce: number): boolean {
    // Others are read one by one: each takes as long as it takes among many.
    const isByFind = this.#table !== undefined && this.#table.folder === undefined
    const folders = this.#next(isByFind ? atOnce : 1)
    const pathOf = ({ path }: Folder) => Buffer.concat([this.#root, path])
    if (folders.length === 0) return true
    const names = isByFind ? readFolders(folders.map(pathOf)) : undefined
    if (names) this.#tellAll(folders, names)
    // One by one: of those that can be asked for in this way, more is known then.
    else if (folders.length > 1) this.#waiting.push(...folders.toReversed())
    else this.#tellAll(folders, [this.#inTable(folders[0]!) ?? readPlainFolder(pathOf(folders[0]!))])
    return names !== undefined
  }

  /** Of those whose names have to be read. */
  #next(most: number): Folder[] {
    const folders: Folder[] = []
    for (let bytes = 0; folders.length < most && this.#waiting.length > 0 && bytes < pathsBytesMax; ) {
      const folder = this.#waiting.pop()!
      if (this.#tellUnread(folder)) {
        if (this.#count >= entriesAtOnce) break
        continue
      }
      folders.push(folder)
      bytes += folder.path.length + this.#root.length
    }
    return folders
  }

  /** Of a folder that has the names that it had, as its inode says: its inodes are all that is read. @returns whether it could be told so */
  #tellUnread(folder: Folder): boolean {
    const { path } = folder
    const number = this.#numberOf(folder)
    const mark = this.#markOf(folder)
    if (mark === 0) return false
    const lines: IndexedFolder[] = []
    const parts: { known: KnownPart; over: Over }[] = []
    const found: Folder[] = []
    let total = 1
    for (let [from, isWhole] = [0, false]; !isWhole; ) {
      const known = findFingerprint(this.#known, placeOf(path, from))
      if (known?.mark !== mark || known.from !== from || known.to <= from) return false
      const now = unlessDamaged(() => known.now((inode) => this.#table?.inode(inode)))
      if (!now) return false
      const { bits, to, count } = known
      parts.push({ known, over: now.over })
      lines.push(lineOf(path, { bits, from, to }, count - now.changed.length, [], now.changed))
      for (const { start, end, inode } of now.folders)
        if (path.length + end - start < pathBytesMax)
          found.push({ path: Buffer.concat([path, slash, now.folders.bytes.subarray(start, end)]), inode })
      total += count
      from = to
      isWhole = to >= 2 ** bits
    }
    if (!this.#isAsMounted(path, number, found.length > 0)) return false
    for (const { known, over } of parts) {
      known.write(over)
      this.#kept.push(known.offset)
    }
    // One by one: there may be more than a call can take.
    for (const one of asTheyLie(found)) this.#waiting.push(one)
    this.#tell(lines, total)
    return true
  }
  #numberOf({ path, inode }: Folder): number {
    return path.length === 0 ? (this.#table?.root ?? 0) : inode
  }
  /**
   * What the table says of a folder is believed when the mount says the same of some of them; where names are read by paths, of each that has folders: what is none there would
   * lead elsewhere.
   */
  #isAsMounted(path: Buffer, number: number, hasFolders: boolean): boolean {
    const isBeliefEnough = this.#table?.folder !== undefined || !hasFolders
    if (isBeliefEnough && this.#unread++ % foldersCheckedOf > 0) return true
    const kept = unlessDamaged(() => this.#table?.inode(number))
    const stat = unlessDamaged(() => lstatSync(Buffer.concat([this.#root, path]), { bigint: true }))
    const isSameFolder = stat !== undefined && kept?.kind === 'd' && isSame(kept, seenAs(stat))
    if (!isSameFolder) this.#table = undefined
    return isSameFolder
  }
  #tell(lines: readonly IndexedFolder[], count: number): void {
    for (const line of lines) this.#lines.push(`${JSON.stringify(line)}\n`)
    this.#count += count
  }

  /** Its names where the table has folders, too, and knows this one. */
  #inTable(folder: Folder): Names | undefined {
    const number = this.#numberOf(folder)
    return number > 0 ? unlessDamaged(() => this.#table?.folder?.(number)) : undefined
  }

  /** The last one with very many is begun to be told in parts. */
  #tellAll(folders: readonly Folder[], names: readonly Names[]): void {
    const wide: [Folder, Names, bits: number][] = []
    for (const [at, folder] of folders.entries()) {
      const { count } = names[at]!
      const bits = sliceBits(count)
      if (count > entriesOfLine) wide.push([folder, names[at]!, bits])
      else this.#waiting.push(...this.#tellPart(folder, names[at]!, count, { bits, from: 0, to: 2 ** bits }))
    }
    for (const [folder, unsorted, bits] of wide) {
      while (this.#begun.names.length > 0) this.#tellNextPart()
      this.#waiting.push(folder)
      this.#begun = { names: new Uint8Array(unsorted.sorted().records), from: 0, bits, slice: 0 }
    }
  }

  /** Up to the end of a slice. */
  #tellNextPart(): void {
    const { names: records, from, bits, slice } = this.#begun
    const folder = this.#waiting.pop()!
    const { bytes } = Names.of(records)
    let [count, behind, last] = [0, from, slice]
    for (const { start, end } of new Names(bytes, from, bytes.length)) {
      if (count >= entriesOfLine - 1) {
        const own = sliceOf(hashOfName(bytes, start, end), bits)
        if (count >= entriesOfLine && own !== last) break
        last = own
      }
      count++
      behind = end + 1
    }
    const isWhole = behind === bytes.length
    const to = isWhole ? 2 ** bits : last + 1
    this.#begun = isWhole ? noNames() : { names: records, from: behind, bits, slice: to }
    const found = this.#tellPart(folder, new Names(bytes, from, behind), count, { bits, from: slice, to })
    // Below the folder that has been begun, which stays the last.
    this.#waiting.push(...found, ...(isWhole ? [] : [folder]))
  }

  /** @param names all that are in these slices @returns the folders among them */
  #tellPart(folder: Folder, names: Names, count: number, slices: Slices, isKnown = true): Folder[] {
    const { path } = folder
    const { bytes } = names
    const place = placeOf(path, slices.from)
    const mark = this.#markOf(folder)
    const print = new FolderPrint({ place, ...slices, count, mark }, names.records)
    const before = isKnown ? findFingerprint(this.#known, place) : undefined
    const known = before && print.hasNamesOf(before) ? before : undefined
    const prefix = Buffer.concat([this.#root, path, slash])
    const folders: Folder[] = []
    const told: IndexedEntry[] = []
    let same = 0
    for (const named of names) {
      const { start, end } = named
      const inode = this.#look(prefix, bytes, named)
      print.add(inode, bytes, named)
      if (inode?.kind === 'd' && path.length + end - start < pathBytesMax)
        folders.push({ path: Buffer.concat([path, slash, bytes.subarray(start, end)]), inode: named.inode })
      if (known && print.isAsIn(known)) same += inode ? 1 : 0
      else if (inode) told.push([said(bytes, start, end), inode.kind, inode.size, inode.modified])
      // Its name is there as before, and it is not: that is only told by telling of all.
      else if (known) return this.#tellPart(folder, names, count, slices, false)
    }
    this.#prints.push(print.bytes)
    this.#tell([lineOf(path, slices, known ? same : null, told, [])], count + 1)
    return asTheyLie(folders)
  }

  /** What its inode says of whether names come and go; 0 when that is not known. */
  #markOf(folder: Folder): number {
    const number = this.#numberOf(folder)
    return (number > 0 && unlessDamaged(() => this.#table?.mark(number))) || 0
  }
  /** @returns what it is; undefined when it is not there */
  #look(prefix: Buffer, bytes: Buffer, { start, end, type, inode }: Named): Inode | undefined {
    const kept = inode > 0 ? unlessDamaged(() => this.#table?.inode(inode)) : undefined
    if (kept && isOfType(type, kept.kind) && this.#looked++ % checkedOf > 0) return kept
    const stat = unlessDamaged(() => lstatSync(Buffer.concat([prefix, bytes.subarray(start, end)]), { bigint: true }))
    const seen = stat && seenAs(stat)
    // Where both are the same, what is kept may say more of the time.
    if (kept && seen && isSame(kept, seen)) return kept
    if (kept) this.#table = undefined
    return seen
  }
}
