/** Bytes of a volume, wherever they lie: on a disk in one piece, in many, striped over several, encrypted. Read-only. */
import type { FileHandle } from 'node:fs/promises'

/** In one piece on a disk, by the disk's place among those that were opened together. */
export type Piece = { disk: number; offsetBytes: number }

export interface Blocks {
  readonly sizeBytes: number
  /** Undefined: it must be put together by who reads it. */
  readonly piece: Piece | undefined
  /** All of it lies within `sizeBytes`. @throws Error what can not be read */
  read(at: number, length: number): Promise<Buffer>
}

/** Guests name sizes and places; what does not fit is theirs. */
export class LayoutError extends Error {
  override readonly name = 'LayoutError'
}

/** An image that reads as the disk does. */
export const diskBlocks = (file: FileHandle, sizeBytes: number, disk: number): Blocks => ({
  sizeBytes,
  piece: { disk, offsetBytes: 0 },
  read: async (at, length) => {
    const buffer = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(buffer, done, length - done, at + done)
      if (bytesRead === 0) throw new Error(`the disk ends at ${at + done}`)
      done += bytesRead
    }
    return buffer
  },
})

/** @throws LayoutError when it does not lie within */
export const slice = (blocks: Blocks, offsetBytes: number, sizeBytes: number): Blocks => {
  const isWithin =
    Number.isSafeInteger(offsetBytes) &&
    Number.isSafeInteger(sizeBytes) &&
    offsetBytes >= 0 &&
    sizeBytes >= 0 &&
    offsetBytes + sizeBytes <= blocks.sizeBytes
  if (!isWithin) throw new LayoutError('a part of it lies outside of what holds it')
  const { piece } = blocks
  return {
    sizeBytes,
    piece: piece && { disk: piece.disk, offsetBytes: piece.offsetBytes + offsetBytes },
    read: (at, length) => blocks.read(offsetBytes + at, length),
  }
}

/** Where bytes lie: so many of them in one piece. `null`: they are zeros. */
export type Place = { blocks: Blocks | null; at: number; length: number }

/** @param placeOf of a byte: what lies there, and how much of it in one piece */
export const mapped = (sizeBytes: number, placeOf: (at: number) => Place | Promise<Place>): Blocks => ({
  sizeBytes,
  piece: undefined,
  read: async (at, length) => {
    const runs: Place[] = []
    for (let done = 0; done < length; ) {
      const place = await placeOf(at + done)
      if (place.length <= 0) throw new LayoutError('its map does not go on')
      const taken = Math.min(place.length, length - done)
      const last = runs.at(-1)
      if (last && last.blocks === place.blocks && (place.blocks === null || last.at + last.length === place.at))
        last.length += taken
      else runs.push({ ...place, length: taken })
      done += taken
    }
    const parts = await Promise.all(
      runs.map((run) => (run.blocks ? run.blocks.read(run.at, run.length) : Buffer.alloc(run.length))),
    )
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
  },
})

/** One after the other; in one piece when they lie so. */
export const joined = (parts: readonly Blocks[]): Blocks => {
  const starts: number[] = []
  let sizeBytes = 0
  for (const part of parts) {
    starts.push(sizeBytes)
    sizeBytes += part.sizeBytes
  }
  const first = parts[0]?.piece
  const isOnePiece = parts.every(
    ({ piece }, at) =>
      piece !== undefined && piece.disk === first!.disk && piece.offsetBytes === first!.offsetBytes + starts[at]!,
  )
  const blocks = mapped(sizeBytes, (at) => {
    let index = parts.length - 1
    while (index > 0 && starts[index]! > at) index--
    const within = at - starts[index]!
    return { blocks: parts[index]!, at: within, length: parts[index]!.sizeBytes - within }
  })
  return first && isOnePiece ? { ...blocks, piece: first, read: blocks.read } : blocks
}

/** Chunk by chunk over all of them. @throws LayoutError when they do not fit together */
export const striped = (members: readonly Blocks[], chunkBytes: number): Blocks => {
  if (!(chunkBytes >= 512)) throw new LayoutError('its stripes have no size')
  const each = Math.min(...members.map(({ sizeBytes }) => sizeBytes))
  const rows = Math.floor(each / chunkBytes)
  return mapped(rows * chunkBytes * members.length, (at) => {
    const chunk = Math.floor(at / chunkBytes)
    const within = at % chunkBytes
    return {
      blocks: members[chunk % members.length]!,
      at: Math.floor(chunk / members.length) * chunkBytes + within,
      length: chunkBytes - within,
    }
  })
}

/** What the one that is missing held, where all of them give zeros when put together bit by bit (RAID 5). */
export const missingOf = (others: readonly Blocks[]): Blocks => ({
  sizeBytes: Math.min(...others.map(({ sizeBytes }) => sizeBytes)),
  piece: undefined,
  read: async (at, length) => {
    const [first, ...rest] = await Promise.all(others.map((member) => member.read(at, length)))
    for (const data of rest) for (let byte = 0; byte < length; byte++) first![byte]! ^= data[byte]!
    return first!
  },
})

/** How RAID 5 places parity and data (md.4): the parity goes left or right with each row, data begin anew in each row or follow the parity. */
export const raid5Layouts = ['left-asymmetric', 'right-asymmetric', 'left-symmetric', 'right-symmetric'] as const
export type Raid5Layout = (typeof raid5Layouts)[number]

/** @param members in order; one may be missing @throws LayoutError when more are */
export const raid5 = (members: readonly (Blocks | undefined)[], chunkBytes: number, layout: Raid5Layout): Blocks => {
  if (!(chunkBytes >= 512)) throw new LayoutError('its stripes have no size')
  const there = members.filter((member) => member !== undefined)
  if (there.length < members.length - 1 || members.length < 2)
    throw new LayoutError(`${members.length - there.length} of its ${members.length} members are missing`)
  const all = members.map((member) => member ?? missingOf(there))
  const count = all.length
  const each = Math.min(...all.map(({ sizeBytes }) => sizeBytes))
  const rows = Math.floor(each / chunkBytes)
  return mapped(rows * chunkBytes * (count - 1), (at) => {
    const chunk = Math.floor(at / chunkBytes)
    const within = at % chunkBytes
    const row = Math.floor(chunk / (count - 1))
    const column = chunk % (count - 1)
    const parity = layout.startsWith('left') ? count - 1 - (row % count) : row % count
    const member = layout.endsWith('-symmetric') ? (parity + 1 + column) % count : column + (column >= parity ? 1 : 0)
    return { blocks: all[member]!, at: row * chunkBytes + within, length: chunkBytes - within }
  })
}
