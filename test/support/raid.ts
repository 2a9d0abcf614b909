/** Linux software RAID written member by member (drivers/md/md_p.h, md(4)): for hosts whose kernel has none. mdadm itself says whether it believes what lies there. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs'

const sectorBytes = 512
const superblockBytes = 4096
const rolesMax = 128
const allOnes = 0xffff_ffff_ffff_ffffn
const leftSymmetric = 2
const nearTwice = 0x102

export type RaidKind = {
  level: 'linear' | 0 | 1 | 5 | 10
  chunkBytes: number
  /** Where the superblock lies: at the end, or 4 KiB from the beginning. */
  metadata: '1.0' | '1.2'
  name: string
}

const levels = { linear: -1, 0: 0, 1: 1, 5: 5, 10: 10 }
const layouts: Partial<Record<RaidKind['level'], number>> = { 5: leftSymmetric, 10: nearTwice }

/** Where the data begins, and where the superblock lies, in sectors. */
const placesIn = (sectors: number, metadata: RaidKind['metadata']) =>
  metadata === '1.0'
    ? { data: 0, superblock: Math.floor((sectors - 16) / 8) * 8, end: Math.floor((sectors - 16) / 8) * 8 }
    : { data: 2048, superblock: 8, end: sectors }

const superblock = (kind: RaidKind, role: number, count: number, sectors: number): Buffer => {
  const { data, superblock: own, end } = placesIn(sectors, kind.metadata)
  const chunk = kind.chunkBytes / sectorBytes
  const usable = kind.level === 1 ? end - data : Math.floor((end - data) / chunk) * chunk
  const block = Buffer.alloc(superblockBytes)
  const uuid = (of: string) => createHash('md5').update(of).digest()
  block.writeUInt32LE(0xa92b4efc, 0)
  block.writeUInt32LE(1, 4)
  uuid(kind.name).copy(block, 16)
  block.write(`guest:${kind.name}`, 32)
  block.writeBigUInt64LE(1_700_000_000n, 64)
  block.writeInt32LE(levels[kind.level], 72)
  block.writeUInt32LE(layouts[kind.level] ?? 0, 76)
  block.writeBigUInt64LE(BigInt(levels[kind.level] > 0 ? usable : 0), 80)
  block.writeUInt32LE(kind.level === 1 ? 0 : chunk, 88)
  block.writeUInt32LE(count, 92)
  block.writeBigUInt64LE(BigInt(data), 128)
  block.writeBigUInt64LE(BigInt(usable), 136)
  block.writeBigUInt64LE(BigInt(own), 144)
  block.writeUInt32LE(role, 160)
  uuid(`${kind.name} ${role}`).copy(block, 168)
  block.writeBigUInt64LE(1_700_000_000n, 192)
  block.writeBigUInt64LE(17n, 200)
  block.writeBigUInt64LE(allOnes, 208)
  block.writeUInt32LE(rolesMax, 220)
  for (let at = 0; at < rolesMax; at++) block.writeUInt16LE(at < count ? at : 0xffff, 256 + 2 * at)
  block.writeUInt32LE(checksumOf(block), checksumAt)
  return block
}
export const checksumAt = 216
/** Of a superblock; its own is left out. */
export const checksumOf = (block: Buffer): number => {
  let sum = 0
  for (let at = 0; at < 256 + 2 * rolesMax; at += 4) sum += at === checksumAt ? 0 : block.readUInt32LE(at)
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32
}

/** Writes a filesystem's image, or any other, over members that hold nothing yet. All are of one size. */
export const makeRaid = (kind: RaidKind, members: readonly string[], image: string): void => {
  const count = members.length
  const sectors = statSync(members[0]!).size / sectorBytes
  const { data, superblock: own, end } = placesIn(sectors, kind.metadata)
  const { chunkBytes } = kind
  const rowsOfMember = Math.floor(((end - data) * sectorBytes) / chunkBytes)
  const files = members.map((member) => openSync(member, 'r+'))
  const from = openSync(image, 'r')
  const put = (member: number, row: number, chunk: Buffer) =>
    writeSync(files[member]!, chunk, 0, chunk.length, data * sectorBytes + row * chunkBytes)
  const parity = Buffer.alloc(chunkBytes)
  try {
    for (const [role, file] of files.entries())
      writeSync(file, superblock(kind, role, count, sectors), 0, superblockBytes, own * sectorBytes)
    const chunks = Math.ceil(statSync(image).size / chunkBytes)
    for (let at = 0; at < chunks; at++) {
      const chunk = Buffer.alloc(chunkBytes)
      readSync(from, chunk, 0, chunkBytes, at * chunkBytes)
      switch (kind.level) {
        case 'linear':
          put(Math.floor(at / rowsOfMember), at % rowsOfMember, chunk)
          break
        case 0:
          put(at % count, Math.floor(at / count), chunk)
          break
        case 1:
          for (let member = 0; member < count; member++) put(member, at, chunk)
          break
        case 10:
          for (const copy of [2 * at, 2 * at + 1]) put(copy % count, Math.floor(copy / count), chunk)
          break
        case 5: {
          const [row, place] = [Math.floor(at / (count - 1)), at % (count - 1)]
          const parityAt = count - 1 - (row % count)
          put((parityAt + 1 + place) % count, row, chunk)
          if (place === 0) parity.fill(0)
          for (let byte = 0; byte < chunkBytes; byte++) parity[byte]! ^= chunk[byte]!
          put(parityAt, row, parity)
        }
      }
    }
  } finally {
    for (const file of [from, ...files]) closeSync(file)
  }
}
