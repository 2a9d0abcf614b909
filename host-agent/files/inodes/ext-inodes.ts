/** Inodes and folders of ext2, ext3 and ext4. The layout is that of the kernel's fs/ext4/ext4.h; all numbers are little-endian. */
import { fileType, Names } from '../names.ts'
import type { BlockFile } from './block-file.ts'
import { blocksOf } from './ext-blocks.ts'
import type { Inode, InodeTable } from './inode-table.ts'
import { asSafe, kindOfMode, markOf, type Range } from './mode.ts'

const superblockAt = 1024
const superblockBytes = 1024
const superblockMagic = 0xef53
const rootInode = 2
/** Of the first revision, which does not say it. */
const firstInodeBytes = 128
const features = { fileType: 0x2, groupsOfGroups: 0x10, wide: 0x80 }
const flags = { encrypted: 0x800, inline: 0x10000000 }
const groupBytes = 32
/** An inode's first part, which all have. */
const commonBytes = 128
/** Of what an inode has besides, when it says to the nanosecond when it was changed. */
const extraBytesWithTimes = 12
/** What a change to a folder changes: size, times but for that of the last access, generation. */
const marks: Range[] = [
  [4, 8],
  [12, 20],
  [100, 104],
  [132, 140],
]
/** Of a folder that is read here; one with more is read by way of its mount. */
const folderBlocksMax = 100_000
const entryBytes = 8

type Geometry = {
  blockBytes: number
  inodes: number
  inodesOfGroup: number
  inodeBytes: number
  groupBytes: number
  groupsAt: number
  /** Whether folders say what their entries are. */
  hasTypes: boolean
}
const types = [
  fileType.unknown,
  fileType.file,
  fileType.folder,
  fileType.other,
  fileType.other,
  fileType.other,
  fileType.other,
  fileType.link,
]

export class ExtInodes implements InodeTable {
  readonly root = rootInode
  readonly #blocks: BlockFile
  readonly #geometry: Geometry
  /** The group that was asked for last, and the byte at which its inodes begin. */
  #group = -1
  #tableAt = 0

  static of(blocks: BlockFile): InodeTable | undefined {
    const { bytes, at } = blocks.at(superblockAt, superblockBytes)
    const incompatible = bytes.getUint32(at + 96, true)
    // With groups of groups their descriptions lie all over the disk: only resizing beyond 16 TiB makes that.
    if (bytes.getUint16(at + 56, true) !== superblockMagic || incompatible & features.groupsOfGroups) return undefined
    const blockBytes = 1024 * 2 ** bytes.getUint32(at + 24, true)
    return new ExtInodes(blocks, {
      blockBytes,
      inodes: bytes.getUint32(at, true),
      inodesOfGroup: bytes.getUint32(at + 40, true),
      inodeBytes: bytes.getUint32(at + 76, true) === 0 ? firstInodeBytes : bytes.getUint16(at + 88, true),
      groupBytes: incompatible & features.wide ? bytes.getUint16(at + 254, true) : groupBytes,
      // In the block behind that of the superblock.
      groupsAt: (Math.floor(superblockAt / blockBytes) + 1) * blockBytes,
      hasTypes: (incompatible & features.fileType) !== 0,
    })
  }
  private constructor(blocks: BlockFile, geometry: Geometry) {
    this.#blocks = blocks
    this.#geometry = geometry
  }

  inode(number: number): Inode | undefined {
    const place = this.#placeOf(number)
    if (!place) return undefined
    const { bytes, at } = place
    const kind = kindOfMode(bytes.getUint16(at, true))
    if (kind === undefined || bytes.getUint16(at + 26, true) === 0) return undefined
    const size = kind === 'f' ? bytes.getUint32(at + 108, true) * 2 ** 32 + bytes.getUint32(at + 4, true) : 0
    const { inodeBytes } = this.#geometry
    const hasExtra = inodeBytes > commonBytes && bytes.getUint16(at + 128, true) >= 12
    const extra = hasExtra ? bytes.getUint32(at + 136, true) : 0
    const seconds = bytes.getInt32(at + 16, true) + (extra & 3) * 2 ** 32
    return { kind, size: asSafe(size), modified: asSafe(seconds * 1e6 + Math.floor((extra >>> 2) / 1000)) }
  }

  mark(number: number): number | undefined {
    if (this.#geometry.inodeBytes <= commonBytes || this.inode(number)?.kind !== 'd') return undefined
    const { bytes, at } = this.#placeOf(number)!
    // Times in whole seconds may be those of two changes.
    const isExact = bytes.getUint16(at + 128, true) >= extraBytesWithTimes && bytes.getUint32(at + 132, true) >>> 2 > 0
    return isExact ? markOf(bytes, at, marks) : undefined
  }

  folder(number: number): Names | undefined {
    const place = this.#placeOf(number)
    if (!place) return undefined
    const { bytes, at } = place
    // Copied: its blocks are read while it is looked through.
    const inode = new DataView(bytes.buffer.slice(at, at + commonBytes))
    // What an encrypted name looks like is the driver's choice; entries within an inode are few, and laid out in their own way.
    if (kindOfMode(inode.getUint16(0, true)) !== 'd' || inode.getUint32(32, true) & (flags.encrypted | flags.inline))
      return undefined
    const { blockBytes } = this.#geometry
    const count = Math.ceil((inode.getUint32(108, true) * 2 ** 32 + inode.getUint32(4, true)) / blockBytes)
    if (count > folderBlocksMax) return undefined
    const found = new Names()
    for (const block of blocksOf(this.#blocks, inode, blockBytes, count))
      if (!this.#readBlock(block, found)) return undefined
    return found
  }

  close(): void {
    this.#blocks.close()
  }

  #placeOf(number: number) {
    const { inodes, inodesOfGroup, inodeBytes } = this.#geometry
    if (number < 1 || number > inodes) return undefined
    const group = Math.floor((number - 1) / inodesOfGroup)
    if (group !== this.#group) {
      this.#tableAt = this.#tableOf(group)
      this.#group = group
    }
    return this.#blocks.at(this.#tableAt + ((number - 1) % inodesOfGroup) * inodeBytes, inodeBytes)
  }
  #tableOf(group: number): number {
    const { blockBytes, groupBytes, groupsAt } = this.#geometry
    const { bytes, at } = this.#blocks.at(groupsAt + group * groupBytes, groupBytes)
    const high = groupBytes >= 64 ? bytes.getUint32(at + 40, true) : 0
    return (high * 2 ** 32 + bytes.getUint32(at + 8, true)) * blockBytes
  }

  /** Nodes of a folder's tree look like blocks without an entry. @returns whether it is as a folder's is */
  #readBlock(block: number, found: Names): boolean {
    const { blockBytes, hasTypes } = this.#geometry
    const { bytes, at } = this.#blocks.at(block * blockBytes, blockBytes)
    let next: number
    for (let from = at; from < at + blockBytes; from = next) {
      const length = lengthOf(bytes.getUint16(from + 4, true), blockBytes)
      const nameBytes = bytes.getUint8(from + 6)
      next = from + length
      if (length % 4 > 0 || length < entryBytes + nameBytes || next > at + blockBytes) return false
      const inode = bytes.getUint32(from, true)
      if (inode === 0) continue
      const type = hasTypes ? (types[bytes.getUint8(from + 7)] ?? fileType.unknown) : fileType.unknown
      const name = new Uint8Array(bytes.buffer, from + entryBytes, nameBytes)
      if (!isDots(name) && !found.add(type, inode, name)) return false
    }
    return true
  }
}

/** The greatest is no number of 16 bits. */
const lengthOf = (length: number, blockBytes: number) =>
  length === 0xffff || length === 0
    ? blockBytes
    : blockBytes > 0xffff
      ? (length & 0xfffc) | ((length & 3) << 16)
      : length
const dot = 0x2e
const isDots = (name: Uint8Array) => name[0] === dot && (name.length === 1 || (name.length === 2 && name[1] === dot))
