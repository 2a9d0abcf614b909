/** A process that digests the blocks of a file. Usage: node hash-process.js <file> <size>; the map goes to file descriptor 3. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { blockBytes, blockCount, blockDigest, digestBytes } from './block-maps.ts'

const [path, sizeText] = process.argv.slice(2) as [string, string]
const size = Number(sizeText)
/** Fits into a core's cache: the copy beside it is short of memory bandwidth, not of time. */
const chunk = Buffer.alloc(16 * blockBytes)
const map = Buffer.alloc(blockCount(size) * digestBytes)
const fd = openSync(path, 'r')
for (let offset = 0; offset < size; offset += chunk.length) {
  const length = Math.min(chunk.length, size - offset)
  const got = readSync(fd, chunk, 0, length, offset)
  if (got < length) chunk.fill(0, got, length)
  for (let at = 0; at < length; at += blockBytes)
    blockDigest(chunk.subarray(at, Math.min(length, at + blockBytes))).copy(
      map,
      ((offset + at) / blockBytes) * digestBytes,
    )
}
closeSync(fd)
for (let at = 0; at < map.length; ) at += writeSync(3, map, at)
