/** Names of a folder with what is known of each before it is looked at; as bytes, they can be handed to another thread. */
import { isUtf8 } from 'node:buffer'
import { type Found, hashOfBytes, nameHash, type Said, stored } from '../../contract/index-slices.ts'
import { nameText } from './entries.ts'

/** Bytes that say what a name is, as `find -printf %y` says it. */
export const fileType = { file: 0x66, folder: 0x64, link: 0x6c, other: 0x6f, unknown: 0x55 } as const
/** `inode`: 0 when it is not known. Kind, size and time are to be filled in. */
export type Named = Found & { type: number; inode: number }

const [space, zero, slash] = [0x20, 0x30, 0x2f]
const firstBytes = 4096

/** How a name is said: its text, or its bytes where that does not say them. */
export const said = (bytes: Uint8Array, start = 0, end = bytes.length): Said => {
  const own = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  const { text, exact } = nameText(own)
  return exact ? text : { b64: own.toString('base64') }
}
const hashOfName = (bytes: Uint8Array, start: number, end: number): number => {
  for (let at = start; at < end; at++)
    if (bytes[at]! > 0x7f && !isUtf8(bytes.subarray(start, end))) return nameHash(stored(said(bytes, start, end)))
  return hashOfBytes(bytes, start, end)
}

export class Names {
  /** Only parts of it are names. */
  bytes: Buffer = Buffer.allocUnsafe(firstBytes)
  readonly entries: Named[] = []
  #length = 0

  /** @returns whether it is a name */
  add(type: number, inode: number, name: Uint8Array): boolean {
    if (name.length === 0 || name.includes(0) || name.includes(slash)) return false
    const start = this.#length
    this.#length += name.length
    if (this.#length > this.bytes.length) this.bytes = Buffer.concat([this.bytes], 2 * this.#length)
    this.bytes.set(name, start)
    this.#push(type, inode, start, this.#length)
    return true
  }
  #push(type: number, inode: number, start: number, end: number) {
    const hash = hashOfName(this.bytes, start, end)
    this.entries.push({ start, end, hash, type, inode, kind: 'o', size: 0, modified: 0 })
  }

  /** Names whose kinds and inodes nobody has said. */
  static plain(names: readonly Buffer[]): Names {
    const all = new Names()
    for (const name of names) all.add(fileType.unknown, 0, name)
    return all
  }
  /** @param records each a type, the number of an inode in decimal digits, a space, a name and a NUL @returns those from `from` to `to` */
  static fromRecords(records: Buffer, from = 0, to = records.length): Names {
    const all = new Names()
    all.bytes = records
    for (let at = from; at < to; ) {
      const type = records[at++]!
      let inode = 0
      for (let digit = records[at++]!; digit !== space; digit = records[at++]!) inode = inode * 10 + digit - zero
      const end = records.indexOf(0, at)
      all.#push(type, inode, at, end)
      at = end + 1
    }
    return all
  }
  /** In memory of its own, which can be handed over. */
  static toRecords(bytes: Buffer, entries: readonly Pick<Named, 'type' | 'inode' | 'start' | 'end'>[]): Uint8Array {
    const records = new Uint8Array(
      entries.reduce((sum, { inode, start, end }) => sum + 3 + String(inode).length + end - start, 0),
    )
    const target = Buffer.from(records.buffer)
    let at = 0
    for (const { type, inode, start, end } of entries) {
      target[at] = type
      at += 1 + target.write(`${inode} `, at + 1, 'latin1')
      at += bytes.copy(target, at, start, end)
      target[at++] = 0
    }
    return records
  }
}
