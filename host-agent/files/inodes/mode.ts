/** What filesystems of Unix have in common. */
import { constants } from 'node:fs'
import { hashOfBytes } from '../../../contract/index-slices.ts'
import type { Inode } from './inode-table.ts'

const kinds = new Map<number, Inode['kind']>([
  [constants.S_IFREG, 'f'],
  [constants.S_IFDIR, 'd'],
  [constants.S_IFLNK, 'l'],
  [constants.S_IFIFO, 'o'],
  [constants.S_IFSOCK, 'o'],
  [constants.S_IFCHR, 'o'],
  [constants.S_IFBLK, 'o'],
])
/** undefined for what no file is. */
export const kindOfMode = (mode: number): Inode['kind'] | undefined => kinds.get(mode & constants.S_IFMT)

/** Exact as far as a JSON number is; beyond that, the nearest that is. */
export const asSafe = (number: number): number =>
  Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, number))

/** Bytes of an inode, from one to another. */
export type Range = readonly [from: number, to: number]
/** One number that stands for all of them. Greater than 0. */
export const markOf = (bytes: DataView, at: number, ranges: readonly Range[]): number => {
  const parts = ranges.map(([from, to]) => new Uint8Array(bytes.buffer, bytes.byteOffset + at + from, to - from))
  return Math.max(1, hashOfBytes(Buffer.concat(parts)))
}
