/** Checksums of what a guest sees of a disk: SHA-256 of every 4 MiB, read from the files themselves. */
import { createHash } from 'node:crypto'
import { readFileSync, readSync } from 'node:fs'
import { isTrouble } from '../trouble.ts'
import { Layer } from './qcow2.ts'

export const blockBytes = 4 * 1024 * 1024
export const digestBytes = 32

export const blockCount = (virtualSize: number) => Math.ceil(virtualSize / blockBytes)
export const sha256 = (data: Buffer) => createHash('sha256').update(data).digest()

/** Reads a disk through its chain, block by block. Synchronous, for a worker thread. */
export class DiskReader {
  readonly virtualSize: number
  readonly #layers: Layer[]
  readonly #buffer = Buffer.alloc(blockBytes)
  readonly #zeroDigests = new Map<number, Buffer>()

  /** @param paths of the chain's QCOW2 files, newest first */
  constructor(paths: readonly string[]) {
    this.#layers = paths.map((path) => new Layer(path))
    this.virtualSize = this.#layers[0]!.header.virtualSize
    if (this.#layers.some((layer) => layer.header.clusterBits !== this.#layers[0]!.header.clusterBits))
      throw new Error('the files of the chain have different cluster sizes')
  }

  /** Bytes of this block: the last one of a disk may be shorter. */
  lengthOf(block: number) {
    return Math.min(blockBytes, this.virtualSize - block * blockBytes)
  }

  #clustersOf(block: number): [first: number, end: number] {
    const { clusterBytes } = this.#layers[0]!
    return [(block * blockBytes) / clusterBytes, Math.ceil((block * blockBytes + this.lengthOf(block)) / clusterBytes)]
  }

  /** Whether the newest file says anything about this block; if not, its checksum is the parent's. */
  isChanged(block: number): boolean {
    const [first, end] = this.#clustersOf(block)
    for (let cluster = first; cluster < end; cluster++)
      if (this.#layers[0]!.cluster(cluster).kind !== 'absent') return true
    return false
  }

  digest(block: number): Buffer {
    const length = this.lengthOf(block)
    if (!this.#read(block, length)) return this.#zeroDigest(length)
    return sha256(this.#buffer.subarray(0, length))
  }

  /** Fills the buffer with the block. @returns false when all of it reads as zeros, without touching a byte */
  #read(block: number, length: number): boolean {
    const [first, end] = this.#clustersOf(block)
    const { clusterBytes } = this.#layers[0]!
    let hasData = false
    let run: { fd: number; offset: number; at: number; length: number } | undefined
    const readRun = () => {
      if (!run) return
      if (!hasData) this.#buffer.fill(0)
      hasData = true
      const wanted = Math.min(run.length, length - run.at)
      // A short read is the end of the file inside the last cluster: the rest is zeros.
      readSync(run.fd, this.#buffer, run.at, wanted, run.offset)
      run = undefined
    }
    for (let number = first; number < end; number++) {
      let found: { fd: number; offset: number } | undefined
      for (const layer of this.#layers) {
        const cluster = layer.cluster(number)
        if (cluster.kind === 'data') found = { fd: layer.fd, offset: cluster.offset }
        if (cluster.kind !== 'absent') break
      }
      if (found && run && run.fd === found.fd && run.offset + run.length === found.offset) {
        run.length += clusterBytes
        continue
      }
      readRun()
      if (found) run = { ...found, at: (number - first) * clusterBytes, length: clusterBytes }
    }
    readRun()
    return hasData
  }

  #zeroDigest(length: number): Buffer {
    let digest = this.#zeroDigests.get(length)
    if (!digest) {
      digest = sha256(Buffer.alloc(length))
      this.#zeroDigests.set(length, digest)
    }
    return digest
  }

  close() {
    for (const layer of this.#layers) layer.close()
  }
}

export type DigestTask = { paths: string[]; parentBlocks: string | null; from: number; to: number }

/**
 * Digests of the blocks `from` to `to`, one after the other.
 * @param onProgress called with the number of blocks done
 */
export const digestBlocks = (
  { paths, parentBlocks, from, to }: DigestTask,
  onProgress: (done: number) => void,
): Buffer => {
  const reader = new DiskReader(paths)
  try {
    const inherited = parentBlocks === null ? undefined : readFileSync(parentBlocks)
    if (inherited && inherited.length !== blockCount(reader.virtualSize) * digestBytes)
      throw new Error("the parent's checksums do not fit this disk")
    const digests = Buffer.alloc((to - from) * digestBytes)
    for (let block = from; block < to; block++) {
      const at = (block - from) * digestBytes
      if (inherited && !reader.isChanged(block))
        inherited.copy(digests, at, block * digestBytes, (block + 1) * digestBytes)
      else reader.digest(block).copy(digests, at)
      if ((block - from) % 32 === 31) onProgress(block - from + 1)
    }
    return digests
  } finally {
    reader.close()
  }
}

export type CompareTask = {
  paths: string[]
  parentBlocks: string | null
  /** The file's own checksums, which are known to be whole. */
  ownBlocks: string
  from: number
  /** 0 = as fast as it goes. */
  bytesPerSecond: number
}
export type Mismatch = { offset: number; length: number; detail: string }

/**
 * Reads the blocks that a file says anything about, from block `from` on, and compares them with its checksums. What it says
 * nothing about is the parents', whose own check finds it.
 * @param onProgress called with the number of the next block and what was found since the last call
 * @throws what says nothing of the file, see isTrouble
 */
export const compareBlocks = (
  { paths, parentBlocks, ownBlocks, from, bytesPerSecond }: CompareTask,
  onProgress: (next: number, found: Mismatch[]) => void,
): void => {
  const reader = new DiskReader(paths)
  try {
    const blocks = blockCount(reader.virtualSize)
    const own = readFileSync(ownBlocks)
    const inherited = parentBlocks === null ? undefined : readFileSync(parentBlocks)
    const digestIn = (digests: Buffer, block: number) =>
      digests.subarray(block * digestBytes, (block + 1) * digestBytes)
    const pace = new Pace(bytesPerSecond)
    for (let block = from; block < blocks; block++) {
      const found: Mismatch[] = []
      const place = { offset: block * blockBytes, length: reader.lengthOf(block) }
      try {
        if (inherited && !reader.isChanged(block)) {
          if (!digestIn(own, block).equals(digestIn(inherited, block)))
            found.push({ ...place, detail: 'a changed block is missing from the file' })
        } else {
          if (!reader.digest(block).equals(digestIn(own, block)))
            found.push({ ...place, detail: 'the data does not match its checksum' })
          pace.keep(place.length)
        }
      } catch (error) {
        if (isTrouble(error)) throw error
        found.push({ ...place, detail: `can not be read: ${(error as Error).message}` })
      }
      if (found.length > 0 || block % 16 === 15 || block === blocks - 1) onProgress(block + 1, found)
    }
  } finally {
    reader.close()
  }
}

/** Holds a thread back to so many bytes a second. */
class Pace {
  readonly #bytesPerSecond: number
  readonly #began = performance.now()
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4))
  #bytes = 0
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
  }
  keep(bytes: number) {
    if (this.#bytesPerSecond === 0) return
    this.#bytes += bytes
    const ahead = (this.#bytes / this.#bytesPerSecond) * 1000 - (performance.now() - this.#began)
    if (ahead > 0) Atomics.wait(this.#sleeper, 0, 0, ahead)
  }
}

/**
 * Digest of everything in a file that is not the guest's data; see Layer.structure. For a worker thread.
 * @throws CHAIN_BROKEN, Error
 */
export const structureDigest = (path: string): Buffer => {
  const layer = new Layer(path)
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.alloc(blockBytes)
    for (const { offset, length } of layer.structure())
      for (let at = 0; at < length; ) {
        const got = readSync(layer.fd, buffer, 0, Math.min(buffer.length, length - at), offset + at)
        if (got === 0) throw new Error('the file became shorter while it was read')
        hash.update(buffer.subarray(0, got))
        at += got
      }
    return hash.digest()
  } finally {
    layer.close()
  }
}

/** Paths, and which of so many equal parts of the disk, counted from 0. */
export type MergedTask = { child: string; merged: string; part: number; parts: number }
/**
 * Whether a file that another one was merged into says for each of that one's clusters what that one says. For a worker thread.
 * @returns the first difference in words; null: there is none
 */
export const mergedDifference = ({ part, parts, ...paths }: MergedTask): string | null => {
  const [child, merged] = [new Layer(paths.child), new Layer(paths.merged)]
  try {
    const { clusterBytes } = child
    const buffers = [Buffer.alloc(blockBytes), Buffer.alloc(blockBytes)] as const
    const hasBacking = merged.header.backingFile !== null
    /** Neighbours in both files, which are compared in one go. */
    let run: { child: number; merged: number; number: number; length: number } | undefined
    const compareRun = (): string | null => {
      if (!run) return null
      const { number, length } = run
      const [own, theirs] = ([child, merged] as const).map((layer, at) => {
        const buffer = buffers[at]!.subarray(0, length)
        // A short read is the end of the file inside the last cluster: the rest is zeros.
        const read = readSync(layer.fd, buffer, 0, length, at === 0 ? run!.child : run!.merged)
        return buffer.fill(0, read)
      })
      run = undefined
      return own!.equals(theirs!) ? null : `byte ${number * clusterBytes} of the disk, or after it`
    }
    const clusters = Math.ceil(child.header.virtualSize / clusterBytes)
    const end = Math.floor((clusters * (part + 1)) / parts)
    for (let number = Math.floor((clusters * part) / parts); number < end; number++) {
      const own = child.cluster(number)
      if (own.kind === 'absent') continue
      const theirs = merged.cluster(number)
      const place = `byte ${number * clusterBytes} of the disk`
      if (own.kind === 'data' && theirs.kind === 'data') {
        const fits =
          run &&
          run.length < blockBytes &&
          run.child + run.length === own.offset &&
          run.merged + run.length === theirs.offset
        if (fits) run!.length += clusterBytes
        else {
          const difference = compareRun()
          if (difference !== null) return difference
          run = { child: own.offset, merged: theirs.offset, number, length: clusterBytes }
        }
      } else if (!readsAsZeros(own, child, buffers[0]) || !readsAsZeros(theirs, merged, buffers[1], hasBacking))
        return place
    }
    return compareRun()
  } finally {
    child.close()
    merged.close()
  }
}

/** Whether a cluster reads as zeros. @param isHoleOpen whether what lies below shows through where nothing is said */
const readsAsZeros = (
  cluster: ReturnType<Layer['cluster']>,
  layer: Layer,
  buffer: Buffer,
  isHoleOpen = false,
): boolean => {
  if (cluster.kind === 'zero') return true
  if (cluster.kind === 'absent') return !isHoleOpen
  const data = buffer.subarray(0, layer.clusterBytes).fill(0)
  readSync(layer.fd, data, 0, data.length, cluster.offset)
  return data.every((byte) => byte === 0)
}
