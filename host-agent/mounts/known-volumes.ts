/** What the hub knows of volumes (contract/agent.ts), while it comes: given on at once where they are asked for in the order in which they come, as they most often are. */
import { Readable } from 'node:stream'
import { type Coming, notAsSaid } from '../../contract/json-and-bytes.ts'

/** Chunks that are taken before somebody asks for them, at the most: disks are being opened meanwhile. */
const chunksAhead = 1024

type Head = { volume: string; bytes: number }

export class KnownVolumes {
  readonly #heads: Head[]
  readonly #coming: AsyncIterator<Buffer>
  /** What came before it was asked for. */
  readonly #kept = new Map<string, Buffer[]>()
  /** Came with the last of what was asked for. */
  #behind: Buffer = Buffer.alloc(0)

  /** @param heads in the order of the bytes @param chunks all of them */
  constructor(heads: readonly Head[], chunks: AsyncIterable<Buffer>) {
    this.#heads = [...heads]
    const coming = Readable.from(chunks, { highWaterMark: chunksAhead })
    // Whoever asks hears of it.
    coming.on('error', () => undefined)
    coming.read(0)
    this.#coming = coming[Symbol.asyncIterator]()
  }

  /** To be read to its end before something else is asked for; reading throws VALIDATION_FAILED when there are fewer bytes than was said. */
  of(volume: string): Coming {
    const kept = this.#kept.get(volume)?.reduce((sum, chunk) => sum + chunk.length, 0)
    const bytes = kept ?? this.#heads.find((head) => head.volume === volume)?.bytes ?? 0
    return { bytes, chunks: this.#chunksOf(volume) }
  }
  async *#chunksOf(volume: string): AsyncGenerator<Buffer> {
    while (!this.#kept.has(volume) && this.#heads.some((head) => head.volume === volume)) {
      const head = this.#heads.shift()!
      if (head.volume === volume) return yield* this.#take(head.bytes)
      const kept: Buffer[] = []
      for await (const chunk of this.#take(head.bytes)) kept.push(chunk)
      this.#kept.set(head.volume, kept)
    }
    yield* this.#kept.get(volume) ?? []
    this.#kept.delete(volume)
  }

  /** Reads the rest. @throws VALIDATION_FAILED when there are not as many bytes as was said */
  async end(): Promise<void> {
    for (const { bytes } of this.#heads.splice(0)) for await (const _ of this.#take(bytes));
    if (await this.#hasMore()) throw notAsSaid()
  }

  async #hasMore(): Promise<boolean> {
    while (this.#behind.length === 0) {
      const next = await this.#coming.next()
      if (next.done) return false
      this.#behind = next.value
    }
    return true
  }
  async *#take(bytes: number): AsyncGenerator<Buffer> {
    for (let missing = bytes; missing > 0; ) {
      if (!(await this.#hasMore())) throw notAsSaid()
      const chunk = this.#behind.subarray(0, missing)
      this.#behind = this.#behind.subarray(chunk.length)
      missing -= chunk.length
      yield chunk
    }
  }
}
