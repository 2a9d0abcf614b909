/** What a physical volume says of itself: its id, and the volume group's metadata that it carries (lib/format_text/layout.h of LVM2). */
import { crc32 } from 'node:zlib'
import type { Blocks } from './blocks.ts'

export type PhysicalVolume = {
  /** 32 characters, as in the header. */
  uuid: string
  blocks: Blocks
  /** Texts of its metadata areas that match their checksums; it may carry none. */
  metadata: string[]
}

const sectorBytes = 512
/** The label lies in one of these. */
const labelSectors = 4
/** Areas of a header; there are two at most in practice. */
const areasMax = 16
const mdaHeaderBytes = 512
const mdaMagic = ' LVM2 x[5A%r0N*>'
/** Larger than the metadata of thousands of volumes. */
const metadataBytesMax = 32 * 1024 * 1024
/** What LVM begins its checksums with. */
const initialCrc = 0xf597a6cf

const lvmCrc = (data: Buffer) => (crc32(data, ~initialCrc >>> 0) ^ 0xffffffff) >>> 0
const number64 = (data: Buffer, at: number) => Number(data.readBigUInt64LE(at))

/** @returns undefined when it is none */
export const readPhysicalVolume = async (blocks: Blocks): Promise<PhysicalVolume | undefined> => {
  const head = await blocks.read(0, labelSectors * sectorBytes)
  for (let sector = 0; sector < labelSectors; sector++) {
    const label = head.subarray(sector * sectorBytes, (sector + 1) * sectorBytes)
    if (label.toString('latin1', 0, 8) !== 'LABELONE' || label.toString('latin1', 24, 32) !== 'LVM2 001') continue
    const isWhole = lvmCrc(label.subarray(20)) === label.readUInt32LE(16)
    const offset = label.readUInt32LE(20)
    if (!isWhole || offset + 40 > sectorBytes) continue
    const header = label.subarray(offset)
    const metadata: string[] = []
    // The areas of its data first, then those of metadata; each list ends with an empty one.
    for (const area of areasFrom(header, areasFrom(header, 40).end).areas) {
      const text = await readMetadata(blocks, area)
      if (text !== undefined) metadata.push(text)
    }
    return { uuid: header.toString('latin1', 0, 32), blocks, metadata }
  }
  return undefined
}

type Area = { offset: number; size: number }
const areasFrom = (header: Buffer, from: number): { areas: Area[]; end: number } => {
  const areas: Area[] = []
  let at = from
  for (; areas.length < areasMax && at + 16 <= header.length; at += 16) {
    const area = { offset: number64(header, at), size: number64(header, at + 8) }
    if (area.offset === 0) return { areas, end: at + 16 }
    areas.push(area)
  }
  return { areas, end: at }
}

const readMetadata = async (blocks: Blocks, area: Area): Promise<string | undefined> => {
  if (area.size < mdaHeaderBytes || area.offset + area.size > blocks.sizeBytes) return undefined
  const header = await blocks.read(area.offset, mdaHeaderBytes)
  const isOurs =
    header.toString('latin1', 4, 20) === mdaMagic &&
    lvmCrc(header.subarray(4)) === header.readUInt32LE(0) &&
    number64(header, 24) === area.offset
  if (!isOurs) return undefined
  const [offset, size, checksum] = [number64(header, 40), number64(header, 48), header.readUInt32LE(56)]
  const isPossible = offset >= mdaHeaderBytes && offset < area.size && size > 0 && size <= area.size - mdaHeaderBytes
  if (!isPossible || size > metadataBytesMax) return undefined
  // A ring behind its header: what does not fit at the end goes on at the beginning.
  const toEnd = Math.min(size, area.size - offset)
  const parts = [await blocks.read(area.offset + offset, toEnd)]
  if (toEnd < size) parts.push(await blocks.read(area.offset + mdaHeaderBytes, size - toEnd))
  const text = Buffer.concat(parts)
  return lvmCrc(text) === checksum ? text.toString('utf8').replace(/\0+$/, '') : undefined
}
