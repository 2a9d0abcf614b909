/** Asks the reader of a sandbox. Whatever it answers is looked at; when it does not answer, it is ended. */
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { z } from 'zod'
import { HubError } from '../../contract/errors.ts'
import { type Coming, messageOf } from '../../contract/json-and-bytes.ts'
import type { Daemon } from '../exec.ts'
import type { ArchiveOptions, Content, ListOptions, VolumeReader } from '../files/volume-reader.ts'
import * as answers from './answers.ts'
import type * as protocol from './protocol.ts'
import type { ReaderTransport, Reply } from './reader-transport.ts'

/** Of an answer that is no file: 10 000 entries with long names and links are less. */
const answerBytesMax = 128 * 1024 ** 2
/** What a reader may say of a path. */
const readersCodes = new Set([
  'FILE_NOT_FOUND',
  'PATH_FORBIDDEN',
  'PATH_INVALID',
  'IS_DIRECTORY',
  'NOT_A_DIRECTORY',
  'NOT_A_REGULAR_FILE',
] as const)
type ReadersCode = typeof readersCodes extends Set<infer Code> ? Code : never

const endedMessage = 'The process that reads this mount has ended'

type ReaderProcess = Pick<Daemon, 'kill' | 'stderr'>

export class ReaderClient {
  readonly #transport: ReaderTransport
  readonly #timeoutMs: number
  readonly #process: ReaderProcess
  readonly ended: Promise<string>
  #end!: (why: string) => void

  /** @param timeoutMs longest time without a byte of an answer */
  constructor(transport: ReaderTransport, timeoutMs: number, process: ReaderProcess) {
    this.#transport = transport
    this.#timeoutMs = timeoutMs
    this.#process = process
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** The first reason that is told stays. */
  hasEnded(why: string) {
    this.#end(why)
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  prepare(files: string[]): Promise<void> {
    return this.#ask('/prepare', { files } satisfies protocol.PrepareRequest).then(() => undefined)
  }
  /** Resolves when it answers. */
  async hello(): Promise<void> {
    await this.#json(await this.#transport.post('/hello', messageOf({}), new AbortController().signal))
  }
  /** @param socket name of one in the folder that both see */
  share(socket: string): Promise<void> {
    return this.#ask('/share', { socket } satisfies protocol.ShareRequest).then(() => undefined)
  }
  async scan(asked: protocol.ScanRequest): Promise<z.output<typeof answers.scanned>> {
    return looked(answers.scanned, await this.#ask('/scan', asked))
  }
  async open(asked: protocol.OpenRequest): Promise<z.output<typeof answers.opened>> {
    return looked(answers.opened, await this.#ask('/open', asked))
  }

  volume(volume: number): VolumeReader {
    const at = (path: Buffer): protocol.PathRequest => ({ volume, path_b64: path.toString('base64') })
    return {
      list: async (path: Buffer, { recursive, limit, offset }: ListOptions) => {
        const asked: protocol.ListRequest = { ...at(path), recursive, limit, offset }
        return { ...looked(answers.listed, await this.#ask('/list', asked)), partition: volume }
      },
      info: async (path: Buffer) => ({
        ...looked(answers.told, await this.#ask('/info', at(path))),
        partition: volume,
      }),
      read: (path: Buffer, start: number, length: number) => {
        const asked: protocol.ReadRequest = { ...at(path), start, length }
        return this.#content('/read', asked, length)
      },
      archive: (path: Buffer, { format, checksums, only, without, prefix }: ArchiveOptions) => {
        const asked: protocol.ArchiveRequest = {
          ...at(path),
          format,
          checksums,
          only_b64: only?.map((one) => one.toString('base64')),
          without_b64: without.map((one) => one.toString('base64')),
          prefix_b64: prefix.toString('base64'),
        }
        return this.#content('/archive', asked, undefined)
      },
      index: ({ bytes, chunks }: Coming) => {
        const asked: protocol.IndexRequest = { volume, known_bytes: bytes }
        return this.#content('/index', asked, undefined, chunks)
      },
      fingerprints: () => this.#content('/fingerprints', { volume } satisfies protocol.FingerprintsRequest, undefined),
      digests: (paths: readonly Buffer[]) => {
        const asked: protocol.DigestRequest = { volume, paths_b64: paths.map((path) => path.toString('base64')) }
        return this.#content('/digests', asked, undefined)
      },
      close: async () => undefined,
    }
  }

  async #ask(path: string, body: unknown): Promise<unknown> {
    return this.#json(await this.#request(path, body))
  }

  /** @throws what the reader refused with */
  async #json({ statusCode, body }: Reply): Promise<unknown> {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of this.#timed(body)) {
      size += chunk.length
      if (size > answerBytesMax) throw this.#giveUp('its answer was too large')
      chunks.push(chunk)
    }
    let answer: unknown
    try {
      answer = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    } catch {
      throw this.#giveUp('its answer was no JSON')
    }
    if (statusCode === 200) return answer
    const { code, message, details } = looked(answers.refused, answer)
    throw readersCodes.has(code as ReadersCode)
      ? new HubError(code as ReadersCode, message, details === '' ? {} : { details })
      : new HubError('SERVICE_UNAVAILABLE', message, { details })
  }

  /** @param length in bytes; fewer or more are an error */
  async #content(
    path: string,
    body: unknown,
    length: number | undefined,
    behind?: AsyncIterable<Buffer>,
  ): Promise<Content> {
    const reply = await this.#request(path, body, behind)
    if (reply.statusCode !== 200) {
      await this.#json(reply)
      throw this.#giveUp('it refused without a reason')
    }
    return (target, signal) => pipeline(this.#whole(reply, length), target, { signal, end: false })
  }

  /** @param behind what comes behind the body; where that keeps the reader waiting, it is not the reader's fault */
  async #request(path: string, body: unknown, behind?: AsyncIterable<Buffer>): Promise<Reply> {
    const late = new AbortController()
    const patience = new Patience(this.#timeoutMs, () => late.abort(this.#giveUp('it did not answer in time')))
    const message = behind ? patience.whileTaken(messageOf(body), behind) : messageOf(body)
    try {
      return await this.#transport.post(path, message, late.signal)
    } catch (error) {
      throw await this.#whyFailed(error)
    } finally {
      patience.end()
    }
  }

  /** The body, which is an error if it is cut. */
  async *#whole(reply: Reply, length: number | undefined): AsyncGenerator<Buffer> {
    yield* exactly(this.#timed(reply.body), length)
    if (!reply.isWhole()) throw await this.#whyFailed(new Error('the answer was cut'))
  }

  /** The body, as long as it comes; who reads it may take his time. */
  async *#timed(response: Readable): AsyncGenerator<Buffer> {
    const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    try {
      for (;;) {
        const timer = setTimeout(() => response.destroy(this.#giveUp('it stopped in the middle')), this.#timeoutMs)
        const next = await chunks.next().finally(() => clearTimeout(timer))
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      throw await this.#whyFailed(error)
    } finally {
      response.destroy()
    }
  }

  #giveUp(why: string): HubError {
    this.hasEnded(`the reader was ended: ${why}`)
    this.#process.kill('SIGKILL')
    return new HubError('SERVICE_UNAVAILABLE', endedMessage, { details: why })
  }

  /** A connection that broke is the reader's end, which is told of a moment later. */
  async #whyFailed(error: unknown): Promise<unknown> {
    if (error instanceof HubError) return error
    const lastWords = this.#process.stderr().trim().split('\n').at(-1) || String(error)
    const unknown = new Promise<string>((resolve) => setTimeout(resolve, 1000, lastWords.slice(0, 500)).unref())
    const why = await Promise.race([this.ended, unknown])
    return new HubError('SERVICE_UNAVAILABLE', endedMessage, { details: why, cause: error })
  }
}

/** That somebody does something in time; until it ends. */
class Patience {
  readonly #timeoutMs: number
  readonly #onLost: () => void
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(timeoutMs: number, onLost: () => void) {
    this.#timeoutMs = timeoutMs
    this.#onLost = onLost
    this.#begin()
  }

  /** What he is to take, one after the other; where it has not come yet, he is in time. */
  async *whileTaken(first: Buffer, coming: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    yield first
    this.#pause()
    for await (const chunk of coming) {
      this.#begin()
      yield chunk
      this.#pause()
    }
    this.#begin()
  }

  end(): void {
    this.#isOver = true
    this.#pause()
  }

  #begin(): void {
    if (!this.#isOver) this.#timer = setTimeout(this.#onLost, this.#timeoutMs)
  }
  #pause(): void {
    clearTimeout(this.#timer)
  }
}

const looked = <S extends z.ZodType>(schema: S, answer: unknown): z.output<S> => {
  const result = schema.safeParse(answer)
  if (result.success) return result.data
  throw new HubError('SERVICE_UNAVAILABLE', 'The process that reads this mount says what can not be', {
    cause: result.error,
  })
}

async function* exactly(chunks: AsyncIterable<Buffer>, length: number | undefined): AsyncGenerator<Buffer> {
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    if (length !== undefined && size > length) throw new Error('more came than was asked for')
    yield chunk
  }
  if (length !== undefined && size !== length) throw new Error('the file ended early')
}
