/** The map of a thin pool, as the kernel keeps it on disk (drivers/md/dm-thin-metadata.c, persistent-data/dm-btree-internal.h). Read, never repaired. */
import { type Blocks, LayoutError, type Place } from './blocks.ts'

const blockBytes = 4096
const magic = 27022010
const sectorBytes = 512
const leaf = 2
const nodeHeaderBytes = 32
/** Blocks of the map that are kept: some megabytes, and far more than a walk needs. */
const nodesMax = 4096
/** Deeper than 2^64 keys could make a tree. */
const depthMax = 16

export type ThinPool = {
  /** @param device the volume's number in its pool */
  placeOf: (device: number, at: number, sizeBytes: number) => Promise<Place>
}

type Node = { isLeaf: boolean; keys: bigint[]; values: bigint[] }

const parseNode = (data: Buffer, number: bigint): Node => {
  const flags = data.readUInt32LE(4)
  const [entries, entriesMax, valueBytes] = [data.readUInt32LE(16), data.readUInt32LE(20), data.readUInt32LE(24)]
  const isPossible =
    data.readBigUInt64LE(8) === number &&
    valueBytes === 8 &&
    entries <= entriesMax &&
    nodeHeaderBytes + entriesMax * 16 <= blockBytes
  if (!isPossible) throw new LayoutError('the map of its thin pool is damaged')
  const at = (index: number, from: number) => data.readBigUInt64LE(nodeHeaderBytes + from * 8 + index * 8)
  const numbers = (from: number) => Array.from({ length: entries }, (_, index) => at(index, from))
  return { isLeaf: (flags & leaf) !== 0, keys: numbers(0), values: numbers(entriesMax) }
}

/** @throws LayoutError when it is none */
export const openThinPool = async (metadata: Blocks, data: Blocks): Promise<ThinPool> => {
  const superblock = await metadata.read(0, blockBytes)
  if (superblock.readBigUInt64LE(32) !== BigInt(magic)) throw new LayoutError('its thin pool has no metadata')
  const root = superblock.readBigUInt64LE(320)
  const chunkBytes = superblock.readUInt32LE(336) * sectorBytes
  if (chunkBytes < 64 * 1024 || chunkBytes > 1024 ** 3) throw new LayoutError('the map of its thin pool is damaged')
  const nodes = new Map<bigint, Promise<Node>>()

  const nodeAt = (number: bigint): Promise<Node> => {
    const known = nodes.get(number)
    if (known) return known
    if ((number + 1n) * BigInt(blockBytes) > BigInt(metadata.sizeBytes))
      throw new LayoutError('the map of its thin pool is damaged')
    if (nodes.size >= nodesMax) nodes.delete(nodes.keys().next().value!)
    const reading = metadata.read(Number(number) * blockBytes, blockBytes).then((block) => parseNode(block, number))
    nodes.set(number, reading)
    return reading
  }
  /** The last key that is not greater, and the key after it. */
  const find = (keys: readonly bigint[], key: bigint): number => {
    let [low, high] = [0, keys.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (keys[middle]! <= key) low = middle + 1
      else high = middle
    }
    return low - 1
  }
  /** @returns its value, or undefined; and the first greater key that is there */
  const lookUp = async (
    from: bigint,
    key: bigint,
  ): Promise<{ value: bigint | undefined; next: bigint | undefined }> => {
    let [number, next]: [bigint, bigint | undefined] = [from, undefined]
    for (let depth = 0; depth < depthMax; depth++) {
      const { isLeaf, keys, values } = await nodeAt(number)
      const at = find(keys, key)
      next = keys[at + 1] ?? next
      if (at < 0) return { value: undefined, next }
      if (isLeaf) return { value: keys[at] === key ? values[at] : undefined, next }
      number = values[at]!
    }
    throw new LayoutError('the map of its thin pool is damaged')
  }

  const roots = new Map<number, Promise<bigint>>()
  const rootOf = (device: number): Promise<bigint> => {
    const known = roots.get(device)
    if (known) return known
    const looking = lookUp(root, BigInt(device)).then(({ value }) => {
      if (value === undefined) throw new LayoutError('its thin pool knows nothing of it')
      return value
    })
    roots.set(device, looking)
    return looking
  }

  return {
    placeOf: async (device, at, sizeBytes) => {
      const chunk = Math.floor(at / chunkBytes)
      const within = at % chunkBytes
      const { value, next } = await lookUp(await rootOf(device), BigInt(chunk))
      if (value === undefined) {
        // Nothing was ever written from here to the next chunk that is there.
        const end = next === undefined ? sizeBytes : Math.min(sizeBytes, Number(next) * chunkBytes)
        return { blocks: null, at: 0, length: end - at }
      }
      // Of a value the lower 24 bits are the time of its last sharing.
      const offset = Number(value >> 24n) * chunkBytes
      if (offset + chunkBytes > data.sizeBytes) throw new LayoutError('the map of its thin pool is damaged')
      return { blocks: data, at: offset + within, length: chunkBytes - within }
    },
  }
}
