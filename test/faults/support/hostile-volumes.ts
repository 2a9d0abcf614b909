/** Disks of LVM, LUKS and BitLocker to start from, and what is done to them: to their bytes, and to what LVM's metadata says with its checksums made good again. */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { bitLocked, windowsVolumes, windowsVolumesFolder } from '../../support/bitlocker.ts'
import type { Random } from '../../support/damage.ts'
import { blankImage, filesystemImage, withLoop } from '../../support/images.ts'
import { encrypted, VolumeGroup } from '../../support/volumes.ts'

const mib = 2 ** 20
const luksSecret = 'correct horse'
const bitLockerVolume = 'aes-xts-128'
export const secrets = [luksSecret, windowsVolumes.find(({ name }) => name === bitLockerVolume)!.password!]

type VolumeSeeds = { lvm: string; luks: string; bitlocker: string }
export const makeVolumeSeeds = (folder: string, fill: (root: string) => void): VolumeSeeds => {
  const path = (name: string) => join(folder, `${name}.raw`)
  const [plain, windows, lvm, luks, bitlocker] = [
    path('plain'),
    path('windows'),
    path('lvm'),
    path('luks'),
    path('bitlocker'),
  ]
  filesystemImage(plain, 'ext4', 32 * mib, fill)
  blankImage(lvm, 120 * mib)
  withLoop(lvm, (device) => {
    const group = new VolumeGroup('vg', [device])
    group.add('whole', 8)
    group.add('spread', 4)
    group.add('other', 2)
    group.extend('spread', 4)
    group.pour('whole', plain)
    group.pour('spread', plain)
  })
  encrypted(luks, plain, luksSecret, ['--type', 'luks2', '--sector-size', '512'])
  filesystemImage(windows, 'ntfs', 100 * mib, fill)
  bitLocked(bitlocker, windows, windowsVolumesFolder(), bitLockerVolume)
  return { lvm, luks, bitlocker }
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
