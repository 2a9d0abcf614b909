import { randomFillSync } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { blankImage } from '../../test/support/images.ts'

const chunkBytes = 4 * 2 ** 20
/** A disk of which `share` percent, spread over it in pieces of 4 MiB, are random data and the rest holes. */
export const sparseDisk = (path: string, bytes: number, share: number) => {
  blankImage(path, bytes)
  const fd = openSync(path, 'r+')
  const chunk = Buffer.alloc(chunkBytes)
  for (let at = 0, number = 0; at < bytes; at += chunkBytes, number++) {
    if ((number * share) % 100 >= share) continue
    randomFillSync(chunk)
    writeSync(fd, chunk, 0, Math.min(chunkBytes, bytes - at), at)
  }
  closeSync(fd)
}
