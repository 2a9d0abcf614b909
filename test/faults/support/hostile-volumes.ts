/** Disks of LVM, software RAID, LUKS and BitLocker to start from, and what is done to them: to their bytes, and to what LVM and RAID say of themselves with the checksums made good again. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { bitLocked, windowsVolumes, windowsVolumesFolder } from '../../support/bitlocker.ts'
import type { Random } from '../../support/damage.ts'
import { blankImage, filesystemImage, sh, withLoop } from '../../support/images.ts'
import { checksumAt, checksumOf, makeRaid } from '../../support/raid.ts'
import { makeThin } from '../../support/thin.ts'
import { encrypted, VolumeGroup } from '../../support/volumes.ts'

const mib = 2 ** 20
const luksSecret = 'correct horse'
const bitLockerVolume = 'aes-xts-128'
export const secrets = [luksSecret, windowsVolumes.find(({ name }) => name === bitLockerVolume)!.password!]

type VolumeSeeds = { lvm: string; thin: string; raid: string; luks: string; bitlocker: string }
export const makeVolumeSeeds = (folder: string, fill: (root: string) => void): VolumeSeeds => {
  const path = (name: string) => join(folder, `${name}.raw`)
  const [plain, windows, luks, bitlocker] = [path('plain'), path('windows'), path('luks'), path('bitlocker')]
  filesystemImage(plain, 'ext4', 32 * mib, fill)
  const lvm = makeLvmSeed(folder, plain)
  encrypted(luks, plain, luksSecret, ['--type', 'luks2', '--sector-size', '512'])
  filesystemImage(windows, 'ntfs', 100 * mib, fill)
  bitLocked(bitlocker, windows, windowsVolumesFolder(), bitLockerVolume)
  const thin = path('thin')
  blankImage(thin, 80 * mib)
  const images = new Map([
    ['data', plain],
    ['snap', plain],
  ])
  withLoop(thin, (device) => makeThin(new VolumeGroup('thin', [device]), 'pool', images))
  return { lvm, thin, raid: makeRaidSeed(folder, plain), luks, bitlocker }
}

/** @param plain a filesystem of 32 MiB, which is in both volumes, in one piece and in two */
export const makeLvmSeed = (folder: string, plain: string): string => {
  const image = join(folder, 'lvm.raw')
  blankImage(image, 120 * mib)
  withLoop(image, (device) => {
    const group = new VolumeGroup('vg', [device])
    group.add('whole', 8)
    group.add('spread', 4)
    group.add('other', 2)
    group.extend('spread', 4)
    group.pour('whole', plain)
    group.pour('spread', plain)
  })
  return image
}

/** Where the members of the array lie on its one disk, which are partitions of 20 MiB. */
const memberStarts = [1, 21, 41].map((start) => start * mib)
const makeRaidSeed = (folder: string, image: string): string => {
  const disk = join(folder, 'raid.raw')
  blankImage(disk, 62 * mib)
  sh('/usr/sbin/sfdisk', ['--quiet', disk], 'label: gpt\nstart=1MiB,size=20MiB\nsize=20MiB\nsize=20MiB\n')
  const members = memberStarts.map((_, at) => join(folder, `member-${at}.raw`))
  for (const member of members) blankImage(member, 20 * mib)
  makeRaid({ level: 5, chunkBytes: 64 * 1024, metadata: '1.2', name: 'data' }, members, image)
  for (const [at, member] of members.entries()) {
    const place = [`seek=${memberStarts[at]}`, 'oflag=seek_bytes', 'conv=notrunc,sparse']
    sh('/usr/bin/dd', [`if=${member}`, `of=${disk}`, ...place, 'bs=1M', 'status=none'])
    rmSync(member)
  }
  return disk
}

const superblockAt = 4096
/** Fields of a superblock that lead somewhere: level, layout, sizes, places, roles, events. */
const raidFields = [72, 76, 80, 88, 92, 128, 136, 144, 152, 160, 200, 220, 256, 258, 260]
const oddSizes = [0n, 1n, 2n, 3n, 0xffffn, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]
/** Says something else of the array; mostly so that it is believed at first. */
export const mutateRaid = (data: Buffer, random: Random): string => {
  const said: string[] = []
  const isOfAll = random(2) === 0
  const changes = Array.from({ length: 1 + random(3) }, () => ({
    field: raidFields[random(raidFields.length)]!,
    value: oddSizes[random(oddSizes.length)]!,
  }))
  for (const start of isOfAll ? memberStarts : [memberStarts[random(memberStarts.length)]!]) {
    const block = data.subarray(start + superblockAt, start + superblockAt + 4096)
    for (const { field, value } of changes) {
      if (field < 256) block.writeBigUInt64LE(value, field)
      else block.writeUInt16LE(Number(value & 0xffffn), field)
    }
    if (random(8) > 0) block.writeUInt32LE(checksumOf(block), checksumAt)
    said.push(`${start}`)
  }
  return `members at ${said.join(', ')}: ${changes.map(({ field, value }) => `${field} = ${value}`).join(', ')}`
}

/** dm-thin-metadata.c: THIN_SUPERBLOCK_MAGIC, behind the first 32 bytes of the metadata. */
const thinMagic = 27_022_010n
/** Changes the map of a thin pool, whose blocks are 4 KiB each. */
export const mutateThin = (data: Buffer, random: Random): string => {
  let start = 0
  while (data.readBigUInt64LE(start + 32) !== thinMagic) start += 4096
  const used: number[] = []
  for (let at = start; at < start + 4 * mib; at += 4096) if (data.readBigUInt64LE(at + 8) !== 0n) used.push(at)
  const said: string[] = []
  for (let change = 0; change <= random(4); change++) {
    const block = random(3) === 0 ? start : used[random(used.length)]!
    // The head of a block and its first keys and values; or any of them.
    const field = block + 8 * random(random(2) === 0 ? 48 : 511)
    const value = random(2) === 0 ? oddSizes[random(oddSizes.length)]! : BigInt(random(2000))
    data.writeBigUInt64LE(value, field)
    said.push(`${field - start} = ${value}`)
  }
  return said.join(', ')
}

/** Of one that pvcreate made: its metadata area, and in it the text (lib/format_text/layout.h of LVM2). */
const areaAt = 4096
const initialCrc = 0xf597a6cf
const lvmCrc = (data: Buffer) => (crc32(data, ~initialCrc >>> 0) ^ 0xffffffff) >>> 0

const numbers = [
  '0',
  '1',
  '-1',
  '511',
  '4294967295',
  '9007199254740993',
  '18446744073709551615',
  '1e400',
  '""',
  '[]',
  'x',
]
/** Says something else in LVM's own words, so that it is believed at first. */
export const mutateMetadata = (data: Buffer, random: Random): string => {
  const offset = Number(data.readBigUInt64LE(areaAt + 40))
  const size = Number(data.readBigUInt64LE(areaAt + 48))
  let text = data.toString('latin1', areaAt + offset, areaAt + offset + size).replace(/\0+$/, '')
  const said: string[] = []
  for (let change = 0; change <= random(3); change++) {
    const places = [...text.matchAll(/\b\d+\b|"[^"\n]*"|\b(?:striped|pv0|segment\d)\b/g)]
    const place = places[random(places.length)]!
    const names = [
      '"whole"',
      '"spread"',
      '"pv0"',
      '"thin"',
      '"raid5"',
      '"thin-pool"',
      '"raid1"',
      '"__proto__"',
      'segment1',
    ]
    const value = random(3) === 0 ? names[random(names.length)]! : numbers[random(numbers.length)]!
    text = `${text.slice(0, place.index)}${value}${text.slice(place.index + place[0].length)}`
    said.push(`${place[0]} = ${value}`)
  }
  const bytes = Buffer.from(`${text}\0`, 'latin1')
  bytes.copy(data, areaAt + offset)
  data.writeBigUInt64LE(BigInt(bytes.length), areaAt + 48)
  data.writeUInt32LE(lvmCrc(bytes), areaAt + 56)
  data.writeUInt32LE(lvmCrc(data.subarray(areaAt + 4, areaAt + 512)), areaAt)
  return said.join(', ')
}
