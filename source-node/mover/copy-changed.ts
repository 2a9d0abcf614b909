/** Reads a whole disk and sends the blocks that differ from what the hub has, many requests in flight. */
import { NbdClient, requestBytesMax } from '../../nbd/client.ts'
import type { NbdTarget } from '../sources/source.ts'
import { blockBytes, blockCount, blockDigest, digestBytes, isZero } from './block-maps.ts'
import type { Progress } from './progress.ts'

export type Readable = { read: (offset: number, length: number) => Promise<Buffer> }

type Task = {
  source: Readable
  /** Bytes. */
  size: number
  target: NbdTarget
  /** The map of what the hub has; undefined sends everything. */
  known: Buffer | undefined
  isIncremental: boolean
  progress: Progress
  signal: AbortSignal
}

/** One read of the source. */
const chunkBytes = 4 * 1024 * 1024
const readsAhead = 2
const writesInFlight = 8

/** Requests in flight, at most so many; the first failure ends all. */
class Flight {
  readonly #running = new Set<Promise<void>>()
  #failure: unknown
  async add(start: () => Promise<void>) {
    while (this.#running.size >= writesInFlight) await Promise.race(this.#running)
    if (this.#failure) throw this.#failure
    const request = start()
      .catch((error: unknown) => {
        this.#failure ??= error
      })
      .finally(() => this.#running.delete(request))
    this.#running.add(request)
  }
  async land() {
    await Promise.all(this.#running)
    if (this.#failure) throw this.#failure
  }
}

type Run = { from: number; to: number; zero: boolean }
/** Joins neighbouring blocks into requests. */
const addBlock = (runs: Run[], from: number, to: number, zero: boolean) => {
  const last = runs.at(-1)
  if (last && last.to === from && last.zero === zero && to - last.from <= requestBytesMax) last.to = to
  else runs.push({ from, to, zero })
}

/** @returns the map of what was read, and how many bytes differed; all of it is flushed in the export */
export const copyChanged = async ({
  source,
  size,
  target,
  known,
  isIncremental,
  progress,
  signal,
}: Task): Promise<{ map: Buffer; bytesTransferred: number }> => {
  const client = await NbdClient.connect(target)
  const abort = () => client.destroy()
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (client.size < size) throw new Error(`the export has ${client.size} bytes, the disk ${size}`)
    const map = Buffer.alloc(blockCount(size) * digestBytes)
    const flight = new Flight()
    const reads: Promise<Buffer>[] = []
    if (!isIncremental) progress.setTotal(size)
    let nextRead = 0
    let bytesTransferred = 0
    const readAhead = () => {
      while (reads.length < readsAhead && nextRead < size) {
        const read = source.read(nextRead, Math.min(chunkBytes, size - nextRead))
        read.catch(() => undefined)
        reads.push(read)
        nextRead += chunkBytes
      }
    }
    readAhead()
    for (let offset = 0; offset < size; offset += chunkBytes) {
      signal.throwIfAborted()
      const chunk = await reads.shift()!
      readAhead()
      const runs: Run[] = []
      for (let at = 0; at < chunk.length; at += blockBytes) {
        const end = Math.min(chunk.length, at + blockBytes)
        const block = chunk.subarray(at, end)
        const digest = blockDigest(block)
        const mapAt = ((offset + at) / blockBytes) * digestBytes
        digest.copy(map, mapAt)
        if (known?.subarray(mapAt, mapAt + digestBytes).equals(digest)) continue
        const zero = isZero(block)
        // An empty export reads as zeros; one with a parent shows the parent's data until zeros are written over it.
        if (zero && !isIncremental) continue
        addBlock(runs, at, end, zero)
        bytesTransferred += end - at
      }
      for (const { from, to, zero } of runs)
        await flight.add(() =>
          zero ? client.writeZeroes(offset + from, to - from) : client.write(offset + from, chunk.subarray(from, to)),
        )
      // The last byte counts when it is flushed.
      progress.setDone(isIncremental ? bytesTransferred : Math.min(size - 1, offset + chunk.length))
    }
    await flight.land()
    await client.flush()
    // Of an incremental the total is known only now.
    progress.setTotal(isIncremental ? bytesTransferred : size)
    progress.setDone(isIncremental ? bytesTransferred : size)
    return { map, bytesTransferred: isIncremental ? bytesTransferred : size }
  } finally {
    signal.removeEventListener('abort', abort)
    client.close()
  }
}
