/**
 * What a walk knows of the one before it. Of each folder the names have a fingerprint together, and what each of them is has one of its own, in the order of the names: where
 * the names are as they were, only entries whose fingerprints differ are told, and nothing else is done with the others. Whoever is told of the files keeps these and gives them back; only this
 * file knows what they look like. They came from where a guest may have written them: nothing wrong in them does more than that something is told again, or not.
 */
import { hash } from 'node:crypto'
import { hashOfBytes } from '../../contract/index-slices.ts'
import type { Inode } from './inodes/inode-table.ts'

/** Of a folder's part: where it is (8), how many entries it has (4), its names (8); then of each entry. */
const [placeBytes, countBytes, namesBytes, entryBytes] = [8, 4, 8, 6]
const headBytes = placeBytes + countBytes + namesBytes

/** Which part of which folder, as a number. */
export const placeOf = (path: Uint8Array, from: number): number =>
  hashOfBytes(Buffer.concat([path, Buffer.from(`/ ${from}`)]))
/** @param records of names, as Names has them @returns latin1 text */
const printOfNames = (bits: number, records: Uint8Array): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${bits} `), records]), 'buffer').toString('latin1', 0, namesBytes)

/** One part of a folder, while it is being written. */
export class FolderPrint {
  readonly bytes: Buffer
  #at = headBytes

  constructor(place: number, bits: number, records: Uint8Array, count: number) {
    this.bytes = Buffer.alloc(headBytes + count * entryBytes)
    this.bytes.writeDoubleLE(place, 0)
    this.bytes.writeUInt32LE(count, placeBytes)
    this.bytes.write(printOfNames(bits, records), placeBytes + countBytes, 'latin1')
  }

  /** The next entry; undefined for one that is not there. */
  add(inode: Inode | undefined): void {
    if (inode) writeEntry(this.bytes, this.#at, inode)
    this.#at += entryBytes
  }

  /** Whether names and their number are those of an earlier one. */
  hasNamesOf(known: Uint8Array): boolean {
    return this.bytes.compare(known, placeBytes, headBytes, placeBytes, headBytes) === 0
  }
  /** Whether the entry that was added last is as it is in that earlier one. */
  isAsIn(known: Uint8Array): boolean {
    for (let at = this.#at - entryBytes; at < this.#at; at++) if (this.bytes[at] !== known[at]) return false
    return true
  }
}

/** Never that of one that is not there. */
const writeEntry = (bytes: Buffer, at: number, { kind, size, modified }: Inode): void => {
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
  bytes.writeUInt32LE(one >>> 0, at)
  bytes.writeUInt16LE(((two & 0xffff) | 1) >>> 0, at + 4)
}

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
    const end = offset + headBytes + bytes.readUInt32LE(offset + placeBytes) * entryBytes
    if (end > bytes.length) break
    parts.push({ place: bytes.readDoubleLE(offset), offset })
    offset = end
  }
  parts.sort((a, b) => a.place - b.place)
  const places = parts.map(({ place }) => place)
  const offsets = parts.map(({ offset }) => offset)
  return {
    bytes: share(Uint8Array, bytes, 1),
    places: share(Float64Array, places, 8),
    offsets: share(Uint32Array, offsets, 4),
  }
}
/** @returns one that a FolderPrint can be compared with */
export const findFingerprint = ({ bytes, places, offsets }: Fingerprints, place: number): Uint8Array | undefined => {
  let [from, to] = [0, places.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (places[middle]! < place) from = middle + 1
    else to = middle
  }
  return places[from] === place ? bytes.subarray(offsets[from]!) : undefined
}
