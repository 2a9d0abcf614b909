/** What is on a disk: its partitions, or one filesystem over all of it. Only tools that answer in data are asked. */
import { open } from 'node:fs/promises'
import type { PartitionRole } from '../../contract/api/restore.ts'
import { mapSome } from '../concurrency.ts'
import type { Run } from '../run-tool.ts'

/** A disk's own volumes. */
export type TableVolume = {
  /** From 1; 0 = the whole disk. */
  number: number
  kind: 'partition' | 'whole_disk'
  /** Where it begins on the disk. */
  offsetBytes: number
  sizeBytes: number
  /** As blkid names it, e.g. `ext4`, `LVM2_member`, `crypto_LUKS`. */
  filesystem: string | null
  label: string | null
  uuid: string | null
  partUuid: string | null
  partLabel: string | null
  role: PartitionRole
}

const blkid = '/usr/sbin/blkid'
const sfdisk = '/usr/sbin/sfdisk'
const partx = '/usr/bin/partx'
/** More entries than any installer makes; a hostile table could name thousands. */
const partitionsMax = 128
const probesAtOnce = 4

const rolesByType: Record<string, PartitionRole> = {
  'C12A7328-F81F-11D2-BA4B-00A0C93EC93B': 'efi',
  'E3C9E316-0B5C-4DB8-817D-F92DF00215AE': 'msr',
  'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC': 'recovery',
  'BC13C2FF-59E6-4262-A352-B275FD6F7172': 'boot',
  '21686148-6449-6E6F-744E-656564454649': 'boot',
  '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F': 'swap',
  'E6D6D379-F507-44C2-A23C-238F2A3DF928': 'lvm',
  '0FC63DAF-8483-4772-8E79-3D69D8477DE4': 'data',
  'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7': 'data',
  '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709': 'data',
  '44479540-F297-41B2-9AF7-D131D5F0458A': 'data',
  '933AC7E1-2EB4-4F13-B844-0E14E2AEF915': 'data',
  ef: 'efi',
  '27': 'recovery',
  '82': 'swap',
  '8e': 'lvm',
  '83': 'data',
  '7': 'data',
  b: 'data',
  c: 'data',
}
/** MBR types that only hold other partitions. */
const containers = new Set(['5', 'f', '85'])

export type Probe = { TYPE?: string; LABEL?: string; UUID?: string; PTTYPE?: string }
/** Reading its labels takes blkid longer than looking for everything else. */
const slowToFind = 'zfs_member'
/** ZFS has two labels at the beginning and two at the end of a whole number of them, each with a ring of uberblocks in its second half (OpenZFS, vdev_impl.h). */
const [zfsLabelBytes, zfsRingAt] = [256 * 1024, 128 * 1024]

/** A piece of an image, in bytes. */
type Piece = { offsetBytes: number; sizeBytes: number }

/** Reads signatures itself; nothing is taken from a cache or from udev. */
export const probe = async (run: Run, image: string, piece: Piece): Promise<Probe> => {
  const found = await probeFor(run, `no${slowToFind}`, image, piece)
  const isKnown = found.TYPE !== undefined || found.PTTYPE !== undefined
  return isKnown || !(await hasUberblocks(image, piece)) ? found : probeFor(run, slowToFind, image, piece)
}

/** Most of what nobody has made a filesystem on is empty there. */
const hasUberblocks = async (image: string, { offsetBytes, sizeBytes }: Piece): Promise<boolean> => {
  const file = await open(image, 'r')
  try {
    const labels = Math.floor(sizeBytes / zfsLabelBytes)
    const ring = Buffer.alloc(zfsLabelBytes - zfsRingAt)
    for (const label of [0, 1, labels - 2, labels - 1]) {
      if (label < 0 || label >= labels) continue
      const { bytesRead } = await file.read(ring, 0, ring.length, offsetBytes + label * zfsLabelBytes + zfsRingAt)
      if (ring.subarray(0, bytesRead).some((byte) => byte !== 0)) return true
    }
    return false
  } finally {
    await file.close()
  }
}

/** @param types as blkid takes them: names with commas between them, or all but those when the first begins with `no` */
const probeFor = async (run: Run, types: string, image: string, { offsetBytes, sizeBytes }: Piece): Promise<Probe> => {
  const where = ['--offset', String(offsetBytes), '--size', String(sizeBytes)]
  const args = ['--probe', '--match-types', types, '--output', 'export', ...where, '--', image]
  // 2 = nothing found, 8 = several signatures that contradict each other.
  const { stdout } = await run(blkid, args, { okCodes: [0, 2, 8] })
  const found: Record<string, string> = {}
  for (const line of stdout.split('\n')) {
    const at = line.indexOf('=')
    // blkid escapes what would break the line.
    if (at > 0) found[line.slice(0, at)] = line.slice(at + 1).replace(/\\(.)/g, '$1')
  }
  return found
}

type Entry = { node: string; start: number; size: number; type: string; name?: string; uuid?: string }
type Table = {
  label?: string
  /** Of a disk with an MBR its signature: `0x1234abcd`. */
  id?: string
  /** What starts and sizes are counted in. */
  sectorsize?: number
  partitions?: Entry[]
}

/** Of a disk and, to most tools, of a file that holds one. */
const [sectorBytes, largeSectorBytes] = [512, 4096]
const gptSignature = 'EFI PART'
/** Where an MBR has the type of its first partition, and the one that says that a GPT is meant. */
const [firstTypeAt, protective] = [450, 0xee]
/**
 * A GPT begins in the disk's second sector; of what size that is, only this tells. What an earlier table left there is not believed: a disk that was given an
 * MBR since then has no protective one, and one with sectors of 512 bytes has its own in the first of these places.
 * @returns undefined where there is none
 */
const sectorsOfGpt = async (image: string): Promise<number | undefined> => {
  const file = await open(image, 'r')
  try {
    const start = Buffer.alloc(largeSectorBytes + gptSignature.length)
    await file.read(start, 0, start.length, 0)
    if (start[firstTypeAt] !== protective) return undefined
    return [sectorBytes, largeSectorBytes].find(
      (bytes) => start.toString('latin1', bytes, bytes + gptSignature.length) === gptSignature,
    )
  } finally {
    await file.close()
  }
}
/** What partx must be told of a disk's sectors. */
export const sectorOption = async (image: string): Promise<string[]> =>
  (await sectorsOfGpt(image)) === largeSectorBytes ? ['--sector-size', String(largeSectorBytes)] : []

/** Bytes of UTF-8 that could break a line come as `\x20`. */
const nameFrom = (text: string): string => {
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  const plain = bytes.replace(/\\x([0-9a-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
  return Buffer.from(plain, 'latin1').toString('utf8')
}
/** None where partx does not believe them, since checksums are wrong. */
const gptEntries = async (run: Run, image: string): Promise<Entry[]> => {
  const sectors = await sectorsOfGpt(image)
  if (sectors === undefined) return []
  const columns = ['--raw', '--noheadings', '--output', 'NR,START,SECTORS,TYPE,UUID,NAME']
  const args = ['--sector-size', String(sectors), ...columns, '--', image]
  const { stdout } = await run(partx, args, { okCodes: [0, 1] })
  return stdout.split('\n').flatMap((line): Entry[] => {
    const [node = '', start, size, type = '', uuid = '', name = ''] = line.split(' ')
    const isOfGpt = type.length === guidLength
    // Starts and sizes are counted in 512 bytes, whatever the disk's sectors are.
    const place = { node, start: Number(start), size: Number(size) }
    return isOfGpt ? [{ ...place, type: type.toUpperCase(), uuid: uuid.toUpperCase(), name: nameFrom(name) }] : []
  })
}
const guidLength = 36

/** Of whatever blkid calls a table. */
const otherTable = async (run: Run, image: string): Promise<Table | undefined> => {
  const { exitCode, stdout } = await run(sfdisk, ['--json', '--', image], { okCodes: [0, 1] })
  return exitCode === 0 ? (JSON.parse(stdout) as { partitiontable?: Table }).partitiontable : undefined
}

/** As udev makes one of the disk's signature; Windows and fstab(5) know partitions by it, too. */
const mbrUuid = ({ label, id }: { label?: string; id?: string }, number: number): string | null =>
  label === 'dos' && id ? `${id.replace('0x', '')}-${number.toString(16).padStart(2, '0')}` : null

const rolesOfWholeDisks: Record<string, PartitionRole> = { swap: 'swap', LVM2_member: 'lvm' }
const roleOf = (type: string | undefined, filesystem: string | null): PartitionRole => {
  if (filesystem === 'swap') return 'swap'
  if (filesystem === 'LVM2_member') return 'lvm'
  return rolesByType[type ?? ''] ?? 'unknown'
}

/**
 * @param image reads as the disk does
 * @param sizeBytes of the disk
 */
export const scanTable = async (run: Run, image: string, sizeBytes: number): Promise<TableVolume[]> => {
  // Most disks have a GPT: partx takes 3 ms of a processor to read it, blkid 8 to look for everything that there could be, sfdisk 11 to read a table.
  const gpt = await gptEntries(run, image)
  const disk = gpt.length > 0 ? {} : await probe(run, image, { offsetBytes: 0, sizeBytes })
  const other = disk.PTTYPE === undefined ? undefined : await otherTable(run, image)
  const table = gpt.length > 0 ? { partitions: gpt } : (other ?? {})
  const entries = (table.partitions ?? []).filter(({ type }) => !containers.has(type)).slice(0, partitionsMax)
  if (entries.length === 0) {
    const filesystem = disk.TYPE ?? null
    const role = filesystem === null ? 'unknown' : (rolesOfWholeDisks[filesystem] ?? 'data')
    const signs = { filesystem, label: disk.LABEL ?? null, uuid: disk.UUID ?? null }
    return [
      { number: 0, kind: 'whole_disk', offsetBytes: 0, sizeBytes, ...signs, partUuid: null, partLabel: null, role },
    ]
  }
  const unitBytes = table.sectorsize ?? sectorBytes
  const volumes = await mapSome(
    entries,
    probesAtOnce,
    async ({ node, start, size, type, name, uuid }): Promise<TableVolume> => {
      const piece = { offsetBytes: start * unitBytes, sizeBytes: size * unitBytes }
      const found = await probe(run, image, piece).catch(() => ({}) as Probe)
      const filesystem = found.TYPE ?? null
      const number = Number(/\d+$/.exec(node)?.[0] ?? 0)
      return {
        number,
        kind: 'partition',
        ...piece,
        filesystem,
        label: found.LABEL ?? (name ? name : null),
        uuid: found.UUID ?? null,
        partUuid: uuid ?? mbrUuid(table, number),
        partLabel: name ? name : null,
        role: roleOf(type, filesystem),
      }
    },
  )
  return volumes.sort((a, b) => a.number - b.number)
}
