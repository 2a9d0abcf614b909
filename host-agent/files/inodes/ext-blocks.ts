/** Where the blocks of a file of ext2, ext3 or ext4 lie: a tree of extents, or lists of blocks. */
import type { BlockFile } from './block-file.ts'

const hasExtents = 0x80000
const extentMagic = 0xf30a
const [headerBytes, extentBytes] = [12, 12]
/** Of an inode's part that says it. */
const mapAt = 40
/** A longer one is not written yet: it reads as zeros. */
const extentLengthMax = 0x8000
const depthMax = 5
const directBlocks = 12
/** Nodes of a tree beyond one for each block; a tree has fewer, unless it was made to have no end. */
const spareNodes = 16

/**
 * Numbers of the blocks that a file has, in their order; holes are left out.
 * @param inode its first 128 bytes, in memory of its own @param count of blocks, by the file's size
 * @throws Error when the tree is none, or has more than that
 */
export const blocksOf = (file: BlockFile, inode: DataView, blockBytes: number, count: number): number[] => {
  const blocks: number[] = []
  let nodes = 0
  const add = (block: number) => {
    if (blocks.length === count) throw new Error('more blocks than the size says')
    blocks.push(block)
  }
  /** Copied: those below it are read while it is looked through. */
  const node = (block: number): DataView => {
    if (nodes++ > count + spareNodes) throw new Error('more nodes than the size says')
    const { bytes, at } = file.at(block * blockBytes, blockBytes)
    return new DataView(bytes.buffer.slice(at, at + blockBytes))
  }

  const addExtents = (bytes: DataView, at: number, depthLeft: number): void => {
    const [magic, entries, depth] = [0, 2, 6].map((offset) => bytes.getUint16(at + offset, true))
    if (magic !== extentMagic || depth! > depthLeft) throw new Error('no tree of extents')
    for (let entry = 0; entry < entries!; entry++) {
      const from = at + headerBytes + entry * extentBytes
      if (depth! > 0) {
        const below = node(bytes.getUint16(from + 8, true) * 2 ** 32 + bytes.getUint32(from + 4, true))
        addExtents(below, 0, depth! - 1)
        continue
      }
      const length = bytes.getUint16(from + 4, true)
      if (length > extentLengthMax) continue
      const first = bytes.getUint16(from + 6, true) * 2 ** 32 + bytes.getUint32(from + 8, true)
      for (let block = first; block < first + length; block++) add(block)
    }
  }
  /** @param level of a list: 0 has blocks, 1 has lists of blocks, 2 has lists of those */
  const addList = (list: number, level: number): void => {
    if (list === 0) return
    const bytes = node(list)
    for (let from = 0; from < blockBytes; from += 4) {
      const block = bytes.getUint32(from, true)
      if (level > 0) addList(block, level - 1)
      else if (block !== 0) add(block)
    }
  }

  if ((inode.getUint32(32, true) & hasExtents) !== 0) addExtents(inode, mapAt, depthMax)
  else
    for (let at = 0; at < directBlocks + 3; at++) {
      const block = inode.getUint32(mapAt + 4 * at, true)
      if (at >= directBlocks) addList(block, at - directBlocks)
      else if (block !== 0) add(block)
    }
  return blocks
}
