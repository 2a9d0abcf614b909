/** A thin pool of LVM without a device mapper: its map is written by thin_restore, and what the group says of it is checked by LVM's own tools. */
import { createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blankImage, sh } from './images.ts'
import type { VolumeGroup } from './volumes.ts'

const sectorBytes = 512
const chunkBytes = 64 * 1024
const extentBytes = 4 * 1024 * 1024
const metadataBytes = extentBytes

/** Makes volumes of images in a pool of that group. What two of them have in the same place lies there once, as a snapshot and what it was made of have it. */
export const makeThin = (group: VolumeGroup, pool: string, images: ReadonlyMap<string, string>): void => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-thin-'))
  try {
    const [data, metadata, map] = [join(folder, 'data'), join(folder, 'metadata'), join(folder, 'map.xml')]
    const { chunks, devices } = laidOut([...images.values()], data)
    const extents = Math.ceil((chunks * chunkBytes) / extentBytes)
    const superblock = `<superblock uuid="" time="1" transaction="${images.size}" flags="0" version="2" data_block_size="${chunkBytes / sectorBytes}" nr_data_blocks="${(extents * extentBytes) / chunkBytes}">`
    writeFileSync(map, `${superblock}${devices.join('')}</superblock>`)
    blankImage(metadata, metadataBytes)
    sh('/usr/sbin/thin_restore', ['--quiet', '--input', map, '--output', metadata])
    const [tdata, tmeta] = [`${pool}_tdata`, `${pool}_tmeta`]
    group.add('space', extents)
    group.add('map', metadataBytes / extentBytes)
    group.pour('space', data)
    group.pour('map', metadata)
    group.rewrite((text) => {
      const hidden = (name: string, as: string) => (said: string) =>
        said.replace(new RegExp(`\\b${name} \\{([^}]*?)status = \\[[^\\]]*\\]`), `${as} {$1status = ["READ", "WRITE"]`)
      const volumes = [...images].map(([name, image], at) =>
        volume(name, Math.ceil(statSync(image).size / extentBytes), [
          'type = "thin"',
          `thin_pool = "${pool}"`,
          'transaction_id = 0',
          `device_id = ${at + 1}`,
        ]),
      )
      const own = volume(pool, extents, [
        'type = "thin-pool"',
        `metadata = "${tmeta}"`,
        `pool = "${tdata}"`,
        `transaction_id = ${images.size}`,
        `chunk_size = ${chunkBytes / sectorBytes}`,
        'discards = "passdown"',
        'zero_new_blocks = 1',
      ])
      const begin = /logical_volumes \{\n/
      return hidden('map', tmeta)(hidden('space', tdata)(text)).replace(begin, (line) => line + volumes.join('') + own)
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Of what LVM calls one: letters in groups. */
const idOf = (name: string) => {
  const letters = createHash('sha256').update(name).digest('hex').slice(0, 32)
  return [6, 10, 14, 18, 22, 26, 32].map((end, at, ends) => letters.slice(ends[at - 1] ?? 0, end)).join('-')
}
const volume = (name: string, extents: number, segment: string[]) => `
${name} {
  id = "${idOf(name)}"
  status = ["READ", "WRITE", "VISIBLE"]
  flags = []
  segment_count = 1
  segment1 {
    start_extent = 0
    extent_count = ${extents}
    ${segment.join('\n    ')}
  }
}
`

/** Writes the chunks that hold anything. @returns how many, and the map of each image as thin_restore reads it */
const laidOut = (images: readonly string[], target: string): { chunks: number; devices: string[] } => {
  const known = new Map<string, number>()
  const to = openSync(target, 'w')
  let chunks = 0
  const empty = Buffer.alloc(chunkBytes)
  try {
    const devices = images.map((image, device) => {
      const from = openSync(image, 'r')
      const mappings: string[] = []
      for (let at = 0; at * chunkBytes < statSync(image).size; at++) {
        const chunk = Buffer.alloc(chunkBytes)
        readSync(from, chunk, 0, chunkBytes, at * chunkBytes)
        if (chunk.equals(empty)) continue
        const key = `${at} ${createHash('sha256').update(chunk).digest('hex')}`
        const place = known.get(key) ?? chunks++
        if (!known.has(key)) writeSync(to, chunk, 0, chunkBytes, place * chunkBytes)
        known.set(key, place)
        mappings.push(`<single_mapping origin_block="${at}" data_block="${place}" time="0"/>`)
      }
      closeSync(from)
      return `<device dev_id="${device + 1}" mapped_blocks="${mappings.length}" transaction="0" creation_time="0" snap_time="0">${mappings.join('')}</device>`
    })
    return { chunks, devices }
  } finally {
    closeSync(to)
  }
}
