/**
 * Names of a folder with what the folder itself says of each, as bytes: records of a type, the number of an inode in decimal digits, a space, the name and a NUL. So find(1)
 * says them, so they can be handed to another thread, and so they are looked through without making something of each of them.
 */
import { isUtf8 } from 'node:buffer'
import { hashOfBytes, nameHash, type Said, stored } from '../../contract/index-slices.ts'
import { nameText } from './entries.ts'

/** Bytes that say what a name is, as `find -printf %y` says it. */
export const fileType = { file: 0x66, folder: 0x64, link: 0x6c, other: 0x6f, unknown: 0x55 } as const
/** A record; `inode`: 0 when it is not known. The name is `bytes` of Names from `start` to `end`. */
export type Named = { type: number; inode: number; start: number; end: number }

const [space, zero, slash] = [0x20, 0x30, 0x2f]
const firstBytes = 4096
/** Of a record besides its name: type, digits, space and NUL. */
const recordBytes = 24

/** How a name is said: its text, or its bytes where that does not say them. */
export const said = (bytes: Uint8Array, start = 0, end = bytes.length): Said => {
  const own = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  const { text, exact } = nameText(own)
  return exact ? text : { b64: own.toString('base64') }
}
/** Of a name as the index keeps it. */
export const hashOfName = (bytes: Uint8Array, start: number, end: number): number => {
  for (let at = start; at < end; at++)
    if (bytes[at]! > 0x7f && !isUtf8(bytes.subarray(start, end))) return nameHash(stored(said(bytes, start, end)))
  return hashOfBytes(bytes, start, end)
}

export class Names {
  bytes: Buffer
  readonly #from: number
  #to: number

  /** @param bytes that have records from `from` to `to` */
  constructor(bytes: Buffer = Buffer.allocUnsafe(firstBytes), from = 0, to = 0) {
    this.bytes = bytes
    this.#from = from
    this.#to = to
  }
  static of(records: Uint8Array): Names {
    return new Names(Buffer.from(records.buffer, records.byteOffset, records.byteLength), 0, records.byteLength)
  }
  /** Names whose kinds and inodes nobody has said. */
  static plain(names: readonly Buffer[]): Names {
    const all = new Names()
    for (const name of names) all.add(fileType.unknown, 0, name)
    return all
  }

  /** @returns whether it is a name */
  add(type: number, inode: number, name: Uint8Array): boolean {
    if (name.length === 0 || name.includes(0) || name.includes(slash)) return false
    this.append(type, inode, name)
    return true
  }
  /** A path as well. */
  append(type: number, inode: number, name: Uint8Array): void {
    if (this.#to + recordBytes + name.length > this.bytes.length)
      this.bytes = Buffer.concat([this.bytes], 2 * (this.#to + recordBytes + name.length))
    this.bytes[this.#to++] = type
    this.#to += this.bytes.write(`${inode} `, this.#to, 'latin1')
    this.bytes.set(name, this.#to)
    this.#to += name.length
    this.bytes[this.#to++] = 0
  }

  get count(): number {
    let count = 0
    for (let at = this.#from; at < this.#to; at = this.#endFrom(at) + 1) count++
    return count
  }
  /** A view of them all. */
  get records(): Buffer {
    return this.bytes.subarray(this.#from, this.#to)
  }
  /** In their order. The same object each time: who keeps one copies it. */
  *[Symbol.iterator](): Generator<Named> {
    const named: Named = { type: 0, inode: 0, start: 0, end: 0 }
    for (let at = this.#from; at < this.#to; at = named.end + 1) {
      named.type = this.bytes[at++]!
      named.inode = 0
      for (let digit = this.bytes[at++]!; digit !== space && at < this.#to; digit = this.bytes[at++]!)
        named.inode = named.inode * 10 + digit - zero
      named.start = at
      named.end = this.#endFrom(at)
      yield named
    }
  }

  /** Where a record ends, at the latest where all of them do: not all of them were written here. */
  #endFrom(at: number): number {
    const end = this.bytes.indexOf(0, at)
    return end < 0 || end > this.#to ? this.#to : end
  }

  /** The same names in the order of their hashes. */
  sorted(): Names {
    const all = Array.from(this, (named) => ({ ...named, hash: hashOfName(this.bytes, named.start, named.end) }))
    const sorted = new Names()
    for (const { type, inode, start, end } of all.sort((a, b) => a.hash - b.hash))
      sorted.append(type, inode, this.bytes.subarray(start, end))
    return sorted
  }
}
