/** Linux software RAID (drivers/md/md_p.h, md(4)): linear, RAID 0, 1, 5 and 10, from members that are there; never started. */
import {
  type Blocks,
  joined,
  LayoutError,
  mapped,
  type Raid5Layout,
  raid5,
  raid5Layouts,
  slice,
  striped,
} from './blocks.ts'

const magic = 0xa92b4efc
const sectorBytes = 512
const superblockBytes = 4096
/** What comes before the roles of its members. */
const headBytes = 256
const membersMax = 384
/** Roles that are no place in the array: spare, faulty, journal. */
const roleMax = 0xfffd

export type RaidMember = {
  array: string
  name: string
  level: number
  layout: number
  chunkBytes: number
  /** Members of the whole array. */
  count: number
  /** Its place; undefined: a spare, or one that failed. */
  role: number | undefined
  events: bigint
  /** What it holds of the array, in its place. */
  data: Blocks
  /** It is being rebuilt: what lies behind this is not there yet. */
  isRebuilding: boolean
}

/** Where a superblock of version 1 lies, by its minor version (md_p.h). */
const placesOf = (sizeBytes: number): number[] => [
  8 * sectorBytes,
  0,
  Math.floor((Math.floor(sizeBytes / sectorBytes) - 16) / 8) * 8 * sectorBytes,
]

/** The sum of its 32-bit words but for the sum itself, with what is carried over added (drivers/md/md.c: calc_sb_1_csum). */
const checksumOf = (superblock: Buffer): number => {
  const end = Math.min(headBytes + superblock.readUInt32LE(220) * 2, superblockBytes)
  let sum = 0
  for (let at = 0; at < end; at += 4) {
    if (at === 216) continue
    sum += end - at === 2 ? superblock.readUInt16LE(at) : superblock.readUInt32LE(at)
  }
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32
}

/** @returns undefined when it is none that is known */
export const readRaidMember = async (blocks: Blocks): Promise<RaidMember | undefined> => {
  for (const at of placesOf(blocks.sizeBytes)) {
    if (at < 0 || at + superblockBytes > blocks.sizeBytes) continue
    const data = await blocks.read(at, superblockBytes)
    const number64 = (offset: number) => Number(data.readBigUInt64LE(offset))
    if (data.readUInt32LE(0) !== magic || data.readUInt32LE(4) !== 1) continue
    if (number64(144) * sectorBytes !== at || data.readUInt32LE(216) !== checksumOf(data)) continue
    const features = data.readUInt32LE(8)
    const place = data.readUInt32LE(160)
    const rolesMax = Math.min(data.readUInt32LE(220), membersMax)
    const role = place < rolesMax ? data.readUInt16LE(256 + place * 2) : 0xffff
    const name = data.toString('utf8', 32, 64).replace(/\0.*$/s, '')
    const level = data.readInt32LE(72)
    // Those whose members are used up to the size of the smallest say that size.
    const [size, usable] = [number64(80), number64(136)]
    const sectors = level > 0 && size > 0 ? Math.min(size, usable) : usable
    return {
      array: data.toString('hex', 16, 32),
      name: name.replace(/^[^:]*:/, '') || 'array',
      level,
      layout: data.readUInt32LE(76),
      chunkBytes: data.readUInt32LE(88) * sectorBytes,
      count: data.readUInt32LE(92),
      role: role < roleMax ? role : undefined,
      events: data.readBigUInt64LE(200),
      data: slice(blocks, number64(128) * sectorBytes, sectors * sectorBytes),
      // MD_FEATURE_RECOVERY_OFFSET
      isRebuilding: (features & 2) !== 0,
    }
  }
  return undefined
}

export type RaidArray = { name: string; sizeBytes: number } & ({ blocks: Blocks } | { reason: string })

/** @returns one for each array that has members here */
export const openRaidArrays = (members: readonly RaidMember[]): RaidArray[] => {
  const arrays = new Map<string, RaidMember[]>()
  for (const member of members) arrays.set(member.array, [...(arrays.get(member.array) ?? []), member])
  return [...arrays.values()].map((own) => {
    const { name } = own[0]!
    try {
      const blocks = assemble(own)
      return { name, sizeBytes: blocks.sizeBytes, blocks }
    } catch (error) {
      return { name, sizeBytes: 0, reason: (error as Error).message }
    }
  })
}

/** @throws LayoutError */
const assemble = (own: readonly RaidMember[]): Blocks => {
  const newest = own.reduce((best, member) => (member.events > best.events ? member : best))
  const { level, layout, chunkBytes, count } = newest
  if (count < 1 || count > membersMax) throw new LayoutError('its number of members is not possible')
  // One that missed the last events holds what was once true.
  const current = (role: number) =>
    own.find((member) => member.role === role && member.events + 1n >= newest.events && !member.isRebuilding)?.data
  const members = Array.from({ length: count }, (_, role) => current(role))
  const missing = members.filter((member) => member === undefined).length
  const all = (): Blocks[] => {
    if (missing > 0) throw new LayoutError(`${missing} of its ${count} members are missing; open all disks together`)
    return members as Blocks[]
  }
  switch (level) {
    case 1: {
      const first = members.find((member) => member !== undefined)
      if (!first) throw new LayoutError('none of its members is whole here')
      return first
    }
    case 0: {
      const each = all()
      if (
        each.some(({ sizeBytes }) => Math.floor(sizeBytes / chunkBytes) !== Math.floor(each[0]!.sizeBytes / chunkBytes))
      )
        throw new LayoutError('a RAID 0 of members of several sizes is not supported')
      return striped(each, chunkBytes)
    }
    case 5: {
      const name: Raid5Layout | undefined = raid5Layouts[layout]
      if (name === undefined) throw new LayoutError(`its layout ${layout} is not supported`)
      return raid5(members, chunkBytes, name)
    }
    case 10:
      return raid10(members, chunkBytes, layout)
    case -1:
      return joined(all())
    default:
      throw new LayoutError(`RAID level ${level} is not supported`)
  }
}

/** Each chunk lies `near` times, on members beside one another. */
const raid10 = (members: readonly (Blocks | undefined)[], chunkBytes: number, layout: number): Blocks => {
  const [near, far] = [layout & 0xff, (layout >> 8) & 0xff]
  if (near < 1 || far !== 1 || !(chunkBytes >= sectorBytes))
    throw new LayoutError(`its layout ${layout} is not supported`)
  const each = Math.min(...members.map((member) => member?.sizeBytes ?? Number.POSITIVE_INFINITY))
  const rows = Math.floor(each / chunkBytes)
  const count = members.length
  return mapped(Math.floor((rows * count) / near) * chunkBytes, (at) => {
    const first = Math.floor(at / chunkBytes) * near
    const within = at % chunkBytes
    for (let copy = first; copy < first + near; copy++) {
      const member = members[copy % count]
      if (member)
        return { blocks: member, at: Math.floor(copy / count) * chunkBytes + within, length: chunkBytes - within }
    }
    throw new LayoutError('too many of its members are missing')
  })
}
