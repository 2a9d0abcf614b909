/**
 * What a walk knows of the one before it. Of each part of a folder its names have a fingerprint together, and what each of them is has one of its own, in the order of the
 * names, with where its inode is: where the names are as they were, only entries whose fingerprints differ are told, and where the folder's own inode says so, its names need
 * not even be read. They are kept for the next walk (mounts/kept-walks.ts); only this file knows what they look like. They came from where a guest may have written them: nothing
 * wrong in them does more than that something is told again, or not.
 */
import { hash } from 'node:crypto'
import { hashOfBytes, prefixOf } from '../../contract/index-slices.ts'
import type { Inode } from './inodes/inode-table.ts'
import { fileType, hashOfName, type Named, Names } from './names.ts'

/** Of a part: where each number is that it begins with. */
const at = { place: 0, bytes: 8, count: 12, from: 16, to: 20, bits: 24, isOneEach: 25, mark: 28, names: 36 } as const
const namesBytes = 8
const headBytes = at.names + namesBytes
/** Of each entry: what it is (6), and the first 32 bits of the hash of its name (4). Then come numbers of inodes, then records of the folders among them. */
const [printBytes, prefixBytes] = [6, 4]
const entryBytes = printBytes + prefixBytes
/** Of a number in sevens of bits. */
const numberBytesMax = 8

/** Bytes of fingerprints that are kept of a volume at the most; they are some eleven for each file. */
export const fingerprintsBytesMax = 64 * 1024 ** 2
/** @param offset where one begins among all */
export const lengthOfPart = (all: Buffer, offset: number): number => all.readUInt32LE(offset + at.bytes)

/** Which part of which folder, as a number. */
export const placeOf = (path: Uint8Array, from: number): number =>
  hashOfBytes(Buffer.concat([path, Buffer.from(`/ ${from}`)]))
/** @param records of names, as Names has them @returns latin1 text */
const printOfNames = (bits: number, records: Uint8Array): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${bits} `), records]), 'buffer').toString('latin1', 0, namesBytes)

/** The slices of a part, the entries in it, and the mark of its folder's inode (InodeTable); 0 when it is not known. */
type Head = { place: number; bits: number; from: number; to: number; count: number; mark: number }

/** One part of a folder, while it is being written. */
export class FolderPrint {
  readonly #head: Buffer
  #at = headBytes
  #numbers: Buffer
  #numbersAt = 0
  #last = 0
  readonly #folders = new Names()

  constructor({ place, bits, from, to, count, mark }: Head, records: Uint8Array) {
    this.#head = Buffer.alloc(headBytes + count * entryBytes)
    this.#head.writeDoubleLE(place, at.place)
    this.#head.writeUInt32LE(count, at.count)
    this.#head.writeUInt32LE(from, at.from)
    this.#head.writeUInt32LE(to, at.to)
    this.#head.writeUInt8(bits, at.bits)
    this.#head.writeDoubleLE(mark, at.mark)
    this.#head.write(printOfNames(bits, records), at.names, 'latin1')
    this.#numbers = Buffer.allocUnsafe(count * numberBytesMax)
  }

  /** The next entry. @param inode undefined for one that is not there */
  add(inode: Inode | undefined, names: Uint8Array, { start, end, inode: number }: Named): void {
    // Never that of one that is not there, which is left as zeros.
    if (inode) this.#head.set(printOf(inode), this.#at)
    this.#head.writeUInt32LE(prefixOf(hashOfName(names, start, end)), this.#at + printBytes)
    this.#at += entryBytes
    this.#numbersAt = writeNumber(this.#numbers, this.#numbersAt, number - this.#last)
    this.#last = number
    if (inode?.kind === 'd') this.#folders.append(fileType.folder, number, names.subarray(start, end))
  }

  /** Whether names and their number are those of an earlier one. */
  hasNamesOf(known: KnownPart): boolean {
    return (
      this.#head.readUInt32LE(at.count) === known.count &&
      this.#head.compare(known.bytes, at.names, headBytes, at.names, headBytes) === 0
    )
  }
  /** Whether the entry that was added last is as it is in that earlier one. */
  isAsIn({ bytes }: KnownPart): boolean {
    const from = this.#at - entryBytes
    return isSamePrint(this.#head, from, bytes, from)
  }

  /** All of it, once each entry has been added. */
  get bytes(): Buffer {
    const all = Buffer.concat([this.#head, this.#numbers.subarray(0, this.#numbersAt), this.#folders.records])
    all.writeUInt32LE(all.length, at.bytes)
    all.writeUInt8(isOneEach(this.#head) ? 1 : 0, at.isOneEach)
    return all
  }
}

/** Whether no two names of a part have the same prefix. */
const isOneEach = (head: Buffer): boolean => {
  const prefixes = new Uint32Array(head.readUInt32LE(at.count))
  for (let entry = 0; entry < prefixes.length; entry++)
    prefixes[entry] = head.readUInt32LE(headBytes + entry * entryBytes + printBytes)
  prefixes.sort()
  return prefixes.every((prefix, entry) => entry === 0 || prefix !== prefixes[entry - 1])
}

const print = Buffer.alloc(printBytes)
/** @returns the same memory each time */
const printOf = ({ kind, size, modified }: Inode): Buffer => {
  let one = Math.imul(kind.charCodeAt(0) ^ 0x9e3779b9, 2654435761)
  let two = Math.imul(kind.charCodeAt(0) ^ 0x85ebca6b, 1597334677)
  for (const number of [size, modified]) {
    const low = number | 0
    const high = Math.floor(number / 2 ** 32) | 0
    one = Math.imul(Math.imul(one ^ low, 2246822507) ^ (one >>> 15) ^ high, 3266489909)
    two = Math.imul(Math.imul(two ^ high, 2246822507) ^ (two >>> 13) ^ low, 668265263)
  }
  one ^= one >>> 16
  two ^= two >>> 15
  two |= 1
  for (let at = 0; at < 4; at++) print[at] = one >>> (8 * at)
  print[4] = two
  print[5] = two >>> 8
  return print
}
const isSamePrint = (a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean => {
  for (let byte = 0; byte < printBytes; byte++) if (a[atA + byte] !== b[atB + byte]) return false
  return true
}

/** With its sign in the lowest bit: inodes of a folder most often follow each other. @returns where the next one is */
const writeNumber = (bytes: Buffer, from: number, number: number): number => {
  let rest = number < 0 ? -2 * number - 1 : 2 * number
  let next = from
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes[next++] = (rest % 0x80) + 0x80
  bytes[next++] = rest
  return next
}

/** What was told of an entry that is not as it was: the first 32 bits of the hash of its name, and what it is now. */
export type Changed = [prefix: number, kind: Inode['kind'], size: number, modified: number]

/** What is written over the bytes of a part, at which of them. */
export type Over = [at: number, bytes: Buffer][]

/** One part of an earlier walk. */
export class KnownPart {
  readonly bytes: Buffer
  readonly count: number
  readonly from: number
  readonly to: number
  readonly bits: number
  readonly mark: number

  /** Where it lies among those that were given. */
  readonly offset: number

  /** @param bytes of it, and of what follows */
  constructor(bytes: Uint8Array, offset: number) {
    this.offset = offset
    const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.bytes = all.subarray(0, all.readUInt32LE(at.bytes))
    this.count = all.readUInt32LE(at.count)
    this.from = all.readUInt32LE(at.from)
    this.to = all.readUInt32LE(at.to)
    this.bits = all.readUInt8(at.bits)
    this.mark = all.readDoubleLE(at.mark)
  }

  /**
   * The same part as it is now, where its names are what they were: what each of them is, is asked of its inode.
   * @returns `over`: what `write` takes; `folders`: records of Names; undefined when not all of it can be said so
   */
  now(inodeOf: (number: number) => Inode | undefined): { over: Over; changed: Changed[]; folders: Names } | undefined {
    if (this.bytes[at.isOneEach] !== 1) return undefined
    const over: Over = []
    const changed: Changed[] = []
    let next = headBytes + this.count * entryBytes
    let inode = 0
    let folderCount = 0
    for (let entry = headBytes; entry < headBytes + this.count * entryBytes; entry += entryBytes) {
      let rest = 0
      for (let factor = 1; ; factor *= 0x80) {
        const byte = this.bytes[next++]
        if (byte === undefined) return undefined
        rest += (byte & 0x7f) * factor
        if (byte <= 0x7f) break
      }
      inode += rest % 2 === 1 ? -(rest + 1) / 2 : rest / 2
      const found = inode > 0 ? inodeOf(inode) : undefined
      if (!found) return undefined
      if (found.kind === 'd') folderCount++
      const own = printOf(found)
      if (isSamePrint(this.bytes, entry, own, 0)) continue
      over.push([entry, Buffer.from(own)])
      changed.push([this.bytes.readUInt32LE(entry + printBytes), found.kind, found.size, found.modified])
    }
    const folders = Names.of(this.bytes.subarray(next))
    for (const { start, end } of folders) {
      folderCount--
      if (!isName(folders.bytes.subarray(start, end))) return undefined
    }
    return folderCount === 0 ? { over, changed, folders } : undefined
  }

  /** Makes it what the part is now. @param over as `now` gives it */
  write(over: Over): void {
    for (const [entry, own] of over) this.bytes.set(own, entry)
  }
}

const [dot, slash] = [0x2e, 0x2f]
/** Whether a folder can have such a name: it becomes part of a path. */
const isName = (name: Uint8Array): boolean =>
  name.length > 0 && !name.includes(slash) && !name.every((byte) => byte === dot && name.length <= 2)

/** Those of an earlier walk; in memory that all threads see. */
export type Fingerprints = { bytes: Uint8Array; places: Float64Array; offsets: Uint32Array }

const share = <T extends Uint8Array | Float64Array | Uint32Array>(
  kind: new (memory: SharedArrayBuffer) => T,
  values: ArrayLike<number>,
  bytesEach: number,
): T => {
  const shared = new kind(new SharedArrayBuffer(values.length * bytesEach))
  shared.set(values)
  return shared
}
/** @param bytes of all parts, one after the other in any order */
export const toFingerprints = (bytes: Buffer): Fingerprints => {
  const parts: { place: number; offset: number }[] = []
  for (let offset = 0; offset + headBytes <= bytes.length; ) {
    const length = lengthOfPart(bytes, offset)
    const least = headBytes + bytes.readUInt32LE(offset + at.count) * entryBytes
    if (length < least || offset + length > bytes.length) break
    parts.push({ place: bytes.readDoubleLE(offset + at.place), offset })
    offset += length
  }
  parts.sort((a, b) => a.place - b.place)
  const places = parts.map(({ place }) => place)
  const offsets = parts.map(({ offset }) => offset)
  const isShared = bytes.buffer instanceof SharedArrayBuffer
  return {
    bytes: isShared ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : share(Uint8Array, bytes, 1),
    places: share(Float64Array, places, 8),
    offsets: share(Uint32Array, offsets, 4),
  }
}
export const findFingerprint = ({ bytes, places, offsets }: Fingerprints, place: number): KnownPart | undefined => {
  let [from, to] = [0, places.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (places[middle]! < place) from = middle + 1
    else to = middle
  }
  return places[from] === place ? new KnownPart(bytes.subarray(offsets[from]!), offsets[from]!) : undefined
}
