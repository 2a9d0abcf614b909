/**
 * Reads values out of a hive of a Windows registry, as far as it must be read for them. A hive is a hostile file like any other of a guest; a tool that parses
 * it would need a sandbox of its own, and no library for Node is kept, so the few records that lead to a value are read here.
 * The format: "Windows registry file format specification" by Maxim Suhanov.
 */

/** @returns bytes of the hive, fewer at its end */
export type ReadHive = (start: number, length: number) => Promise<Buffer>

const headerBytes = 4096
const rootAt = 0x24
/** A cell begins with its size, which is negative for one that is in use. */
const cellHeader = 4
/** More than any of ours; what a hive claims beyond that is not believed. */
const cellBytesMax = 256 * 1024
const childrenMax = 4096
const pageBytes = 64 * 1024
const pagesMax = 64
/** No cell, by the format's own word. */
const none = 0xffffffff

const key = { children: 0x14, childList: 0x1c, values: 0x24, valueList: 0x28, flags: 0x02, nameBytes: 0x48, name: 0x4c }
const value = { nameBytes: 0x02, bytes: 0x04, data: 0x08, flags: 0x10, name: 0x14 }
/** Names are in Latin-1 when the flag says so. */
const keyIsNarrow = 0x20
const valueIsNarrow = 0x01
/** The data is where otherwise its place is. */
const dataIsHere = 0x80000000

export class Hive {
  readonly #read: ReadHive
  readonly #pages = new Map<number, Promise<Buffer>>()

  constructor(read: ReadHive) {
    this.#read = read
  }

  /** @param path of keys, in any case @returns undefined when there is none @throws RangeError for a hive that is none */
  async value(path: readonly string[], name: string): Promise<Buffer | undefined> {
    return (await this.values(path)).get(name.toLowerCase())
  }
  async text(path: readonly string[], name: string): Promise<string | undefined> {
    return (await this.value(path, name))?.toString('utf16le').split('\0')[0]
  }

  async number(path: readonly string[], name: string): Promise<number | undefined> {
    return (await this.value(path, name))?.readUInt32LE(0)
  }

  /** All values of a key, by their names in small letters. */
  async values(path: readonly string[]): Promise<Map<string, Buffer>> {
    const header = await this.#bytes(0, headerBytes)
    if (header.toString('latin1', 0, 4) !== 'regf') throw new RangeError('no registry hive')
    let cell = await this.#cell(header.readUInt32LE(rootAt))
    for (const name of path) {
      const found = await this.#child(cell, name.toLowerCase())
      if (!found) return new Map()
      cell = found
    }
    return this.#valuesOf(cell)
  }

  async #child(parent: Buffer, name: string): Promise<Buffer | undefined> {
    for (const at of await this.#children(parent.readUInt32LE(key.childList), parent.readUInt32LE(key.children))) {
      const cell = await this.#cell(at)
      const bytes = cell.subarray(key.name, key.name + cell.readUInt16LE(key.nameBytes))
      if (nameOf(bytes, (cell.readUInt16LE(key.flags) & keyIsNarrow) !== 0) === name) return cell
    }
    return undefined
  }

  /** @returns places of keys; a list of lists is of one level only */
  async #children(list: number, count: number, isInner = false): Promise<number[]> {
    if (count === 0 || list === none) return []
    const cell = await this.#cell(list)
    const kind = cell.toString('latin1', 0, 2)
    const each = kind === 'lf' || kind === 'lh' ? 8 : 4
    const length = Math.min(cell.readUInt16LE(2), childrenMax)
    const places = Array.from({ length }, (_, at) => cell.readUInt32LE(4 + at * each))
    if (kind !== 'ri') return places
    if (isInner) throw new RangeError('a list of lists of lists')
    const all: number[] = []
    for (const place of places) {
      all.push(...(await this.#children(place, count, true)))
      if (all.length > childrenMax) break
    }
    return all
  }

  async #valuesOf(cell: Buffer): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>()
    const count = Math.min(cell.readUInt32LE(key.values), childrenMax)
    if (count === 0) return found
    const list = await this.#cell(cell.readUInt32LE(key.valueList))
    for (let at = 0; at < count; at++) {
      const one = await this.#cell(list.readUInt32LE(at * 4))
      const bytes = one.subarray(value.name, value.name + one.readUInt16LE(value.nameBytes))
      const name = nameOf(bytes, (one.readUInt16LE(value.flags) & valueIsNarrow) !== 0)
      const claimed = one.readUInt32LE(value.bytes)
      const length = claimed % dataIsHere
      if (claimed >= dataIsHere) found.set(name, one.subarray(value.data, value.data + Math.min(length, 4)))
      else if (length > 0) found.set(name, (await this.#cell(one.readUInt32LE(value.data))).subarray(0, length))
    }
    return found
  }

  async #cell(place: number): Promise<Buffer> {
    if (place === none) throw new RangeError('a place that is none')
    const start = headerBytes + place
    const size = -(await this.#bytes(start, cellHeader)).readInt32LE(0)
    if (size <= cellHeader || size > cellBytesMax) throw new RangeError(`a cell of ${size} bytes`)
    return this.#bytes(start + cellHeader, size - cellHeader)
  }

  async #bytes(start: number, length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let at = start; at < start + length; ) {
      const page = Math.floor(at / pageBytes)
      const bytes = await this.#page(page)
      const inside = at - page * pageBytes
      const part = bytes.subarray(inside, Math.min(pageBytes, inside + start + length - at))
      if (part.length === 0) throw new RangeError('the hive ends early')
      parts.push(part)
      at += part.length
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  #page(number: number): Promise<Buffer> {
    const known = this.#pages.get(number)
    if (known) return known
    if (this.#pages.size >= pagesMax) this.#pages.delete(this.#pages.keys().next().value!)
    const page = this.#read(number * pageBytes, pageBytes)
    this.#pages.set(number, page)
    return page
  }
}

const nameOf = (bytes: Buffer, isNarrow: boolean) => bytes.toString(isNarrow ? 'latin1' : 'utf16le').toLowerCase()
