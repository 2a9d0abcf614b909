/** Pieces of an image that are read ahead and kept for a while: the same bytes as the image has, also where it can not be read. */
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { unmount } from '../../host-agent/attach/mount-table.ts'
import { StorageDaemon } from '../../host-agent/attach/storage-daemon.ts'
import { BlockFile, openUnkept } from '../../host-agent/files/inodes/block-file.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { seeded } from '../support/damage.ts'

const piece = 16 * 1024
/** More than are kept. */
const pieces = 400
const begin = 1_048_576 + 512
const content = randomBytes(begin + pieces * piece + 1536)
/** The sector of it that can not be read, in a piece that is read ahead. */
const brokenAt = begin + 281 * piece + 4096

let before: Census
let folder: string
let path: string
beforeAll(async () => {
  before = await census()
  folder = mkdtempSync(join(tmpdir(), 'sendense-blocks-'))
  path = join(folder, 'image')
  writeFileSync(path, content)
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  expect(await leftBehind(before)).toEqual([])
})

const bytesAt = (file: BlockFile, offset: number, length: number): Buffer => {
  const { bytes, at } = file.at(offset, length)
  return Buffer.from(new Uint8Array(bytes.buffer, at, length))
}
const expected = (offset: number, length: number) => content.subarray(begin + offset, begin + offset + length)

it('gives the bytes of the image, in order and in none, up to its end', () => {
  const fd = openSync(path, 'r')
  const random = seeded(20261129)
  try {
    // The second one has memory of the first.
    for (let turn = 0; turn < 2; turn++) {
      const file = new BlockFile(fd, begin)
      for (let offset = 0; offset < pieces * piece; offset += 4096)
        expect(bytesAt(file, offset, 4096).equals(expected(offset, 4096)), String(offset)).toBe(true)
      for (let look = 0; look < 2000; look++) {
        const offset = 512 * random(32 * pieces)
        expect(bytesAt(file, offset, 512).equals(expected(offset, 512)), String(offset)).toBe(true)
      }
      for (const offset of [0, 64 * piece, (pieces - 4) * piece])
        expect(bytesAt(file, offset, 4 * piece).equals(expected(offset, 4 * piece)), String(offset)).toBe(true)
      expect(() => file.at(pieces * piece, 2 * piece)).toThrow('behind the end')
      expect(bytesAt(file, pieces * piece + 1024, 512).equals(expected(pieces * piece + 1024, 512))).toBe(true)
      expect(() => file.at(pieces * piece + 1536, 512)).toThrow('behind the end')
      expect(() => file.at((pieces + 1) * piece, 512)).toThrow('behind the end')
      file.close()
    }
  } finally {
    closeSync(fd)
  }
})

it('reads what lies around a sector that can not be read, and has no other bytes for what was given up', async () => {
  const shown = join(folder, 'shown')
  writeFileSync(shown, '')
  const qemu = await StorageDaemon.start()
  try {
    const inject = [{ event: 'none', sector: brokenAt / 512, errno: 5, once: false }]
    const image = { driver: 'blkdebug', image: { driver: 'file', filename: path }, 'inject-error': inject }
    await qemu.show({ driver: 'raw', file: image, 'read-only': true, 'node-name': 'disk' }, shown, false)
    const handle = await openUnkept(shown)
    try {
      const file = new BlockFile(handle.fd, begin)
      const broken: number[] = []
      for (let offset = 0; offset < pieces * piece; offset += 512) {
        // One that is kept still: its memory must not have been given to one that could not be read.
        const earlier = Math.max(0, offset - 160 * piece)
        expect(bytesAt(file, earlier, 512).equals(expected(earlier, 512)), String(earlier)).toBe(true)
        try {
          expect(bytesAt(file, offset, 512).equals(expected(offset, 512)), String(offset)).toBe(true)
        } catch (error) {
          expect((error as NodeJS.ErrnoException).code).toBe('EIO')
          broken.push(Math.floor(offset / piece))
        }
      }
      expect([...new Set(broken)]).toEqual([Math.floor((brokenAt - begin) / piece)])
      file.close()
      // FUSE takes any memory: nothing of it is kept by the kernel.
      const flags = readFileSync(`/proc/self/fdinfo/${handle.fd}`, 'utf8')
      expect(Number.parseInt(/flags:\s+(\d+)/.exec(flags)![1]!, 8) & 0o40000).toBe(0o40000)
    } finally {
      await handle.close()
    }
  } finally {
    await qemu.stop(5000)
    await unmount(shown)
  }
})
