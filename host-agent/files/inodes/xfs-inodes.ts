/** Inodes of XFS: a number says where its inode is. The layout is that of the kernel's fs/xfs/libxfs/xfs_format.h; all numbers are big-endian. */
import type { BlockFile, Place } from './block-file.ts'
import type { Inode, InodeTable } from './inode-table.ts'
import { asSafe, kindOfMode, markOf, type Range } from './mode.ts'

const superblockMagic = 0x58465342
const superblockBytes = 264
const inodeMagic = 0x494e
/** `di_flags2`: times are nanoseconds since 1901, in 64 bits. */
const bigTimes = 8
const bigTimesBeginSeconds = -(2 ** 31)
/** The first with `di_flags2`. */
const versionWithFlags2 = 3
/** What a change to a folder changes: times of the last change to its content and to itself, size, generation. Its count of changes counts who has read it, too. */
const marks: Range[] = [
  [40, 64],
  [92, 96],
]

type Geometry = {
  blockBytes: number
  groupBlocks: number
  groups: number
  inodeBytes: number
  inodesOfBlock: number
  /** A group's part of a number: blocks of a group, as a power of two. */
  groupSpan: number
}

export class XfsInodes implements InodeTable {
  readonly root: number
  readonly #blocks: BlockFile
  readonly #geometry: Geometry

  static of(blocks: BlockFile): InodeTable | undefined {
    const { bytes, at } = blocks.at(0, superblockBytes)
    if (bytes.getUint32(at) !== superblockMagic) return undefined
    return new XfsInodes(blocks, bytes.getUint32(at + 56) * 2 ** 32 + bytes.getUint32(at + 60), {
      blockBytes: bytes.getUint32(at + 4),
      groupBlocks: bytes.getUint32(at + 84),
      groups: bytes.getUint32(at + 88),
      inodeBytes: bytes.getUint16(at + 104),
      inodesOfBlock: 2 ** bytes.getUint8(at + 123),
      groupSpan: 2 ** bytes.getUint8(at + 124),
    })
  }
  private constructor(blocks: BlockFile, root: number, geometry: Geometry) {
    this.root = root
    this.#blocks = blocks
    this.#geometry = geometry
  }

  inode(number: number): Inode | undefined {
    const place = this.#placeOf(number)
    if (!place) return undefined
    const { bytes, at } = place
    if (bytes.getUint16(at) !== inodeMagic) return undefined
    const kind = kindOfMode(bytes.getUint16(at + 2))
    if (kind === undefined) return undefined
    const size = kind === 'f' ? bytes.getUint32(at + 56) * 2 ** 32 + bytes.getUint32(at + 60) : 0
    const hasBigTimes =
      bytes.getUint8(at + 4) >= versionWithFlags2 && (bytes.getUint32(at + 124) & bigTimes) === bigTimes
    return { kind, size: asSafe(size), modified: asSafe(hasBigTimes ? bigTime(bytes, at + 40) : time(bytes, at + 40)) }
  }

  mark(number: number): number | undefined {
    if (this.inode(number)?.kind !== 'd') return undefined
    const { bytes, at } = this.#placeOf(number)!
    return markOf(bytes, at, marks)
  }

  #placeOf(number: number): Place | undefined {
    const { blockBytes, groupBlocks, groups, inodeBytes, inodesOfBlock, groupSpan } = this.#geometry
    const block = Math.floor(number / inodesOfBlock)
    const group = Math.floor(block / groupSpan)
    const inGroup = block % groupSpan
    if (!Number.isSafeInteger(number) || group >= groups || inGroup >= groupBlocks) return undefined
    const place = (group * groupBlocks + inGroup) * blockBytes + (number % inodesOfBlock) * inodeBytes
    return this.#blocks.at(place, inodeBytes)
  }

  close(): void {
    this.#blocks.close()
  }
}

const time = (bytes: DataView, at: number) => bytes.getInt32(at) * 1e6 + Math.floor(bytes.getUint32(at + 4) / 1000)
/** In two parts: more nanoseconds than a number holds exactly. */
const bigTime = (bytes: DataView, at: number) => {
  const high = bytes.getUint32(at)
  const rest = (high % 1000) * 2 ** 32 + bytes.getUint32(at + 4)
  return Math.floor(high / 1000) * 2 ** 32 + Math.floor(rest / 1000) + bigTimesBeginSeconds * 1e6
}
