/** What a reader answers the agent (protocol.ts), wherever it runs: it mounts volumes, and serves their files. */
import type { IncomingMessage, ServerResponse } from 'node:http'
// Its types alone: loading it would keep each sandbox waiting.
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { readBytes, readMessage } from '../../contract/json-and-bytes.ts'
import { type Content, openMounted, type VolumeReader } from '../files/volume-reader.ts'
import type { Mounted, NotMounted } from '../volumes/mounted.ts'
import {
  type ArchiveRequest,
  type DigestRequest,
  type FingerprintsRequest,
  type IndexRequest,
  inside,
  type ListRequest,
  type OpenRequest,
  type PathRequest,
  type ReadRequest,
  wholeTrailer,
} from './protocol.ts'

/**
 * Mounts a volume read-only.
 * @param asked `image` is where deviceOf says that it is
 * @param path where
 * @param onEnd to be called when whoever serves it has ended, with the reason
 */
export type MountVolume = (
  asked: OpenRequest,
  path: string,
  onEnd: (why: string) => void,
) => Promise<Mounted | NotMounted>
type Answers = Record<string, (asked: never) => Promise<unknown>>
type Request = IncomingMessage | Http2ServerRequest
type Response = ServerResponse | Http2ServerResponse

/** Of HTTP/2: RFC 9113, section 7. */
const internalError = 2
/** How long after its first error we hear of a driver's end, at the most. */
const endIsHeardMs = 200

const pathOf = ({ path_b64 }: PathRequest) => Buffer.from(path_b64, 'base64')
const archiveOptions = ({ format, checksums, only_b64, without_b64, prefix_b64 }: ArchiveRequest) => ({
  format,
  checksums,
  only: only_b64?.map((path) => Buffer.from(path, 'base64')),
  without: without_b64.map((path) => Buffer.from(path, 'base64')),
  prefix: Buffer.from(prefix_b64, 'base64'),
})

/**
 * @param deviceOf where an image is that is to be mounted: a file, or a device
 * @param more what only this reader can be asked @returns what serves one request
 */
export const answering = (
  mountVolume: MountVolume,
  deviceOf: (image: string) => Promise<string>,
  more: Answers,
): ((request: Request, response: Response) => Promise<void>) => {
  const volumes = new Map<number, VolumeReader>()
  /** Why the driver of a volume serves it no more. */
  const endedDrivers = new Map<number, string>()

  const readerOf = ({ volume }: Pick<PathRequest, 'volume'>): VolumeReader => {
    const reader = volumes.get(volume)
    if (!reader) throw new HubError('PARTITION_NOT_FOUND', 'The volume is not mounted')
    return reader
  }
  /** A driver that has ended gives errors that say nothing; its end says it. */
  const withReason = async <T>({ volume }: Pick<PathRequest, 'volume'>, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (error instanceof HubError && error.code !== 'SERVICE_UNAVAILABLE') throw error
      for (const until = performance.now() + endIsHeardMs; performance.now() < until; await sleep(10)) {
        const details = endedDrivers.get(volume)
        if (details !== undefined)
          throw new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read any more", { details })
      }
      throw error
    }
  }
  const open = async (asked: OpenRequest) => {
    const { volume: number, filesystem } = asked
    const [path, image] = [inside.root(number), await deviceOf(asked.image)]
    const result = await mountVolume({ ...asked, image }, path, (why) => endedDrivers.set(number, why))
    if (result.mounted) volumes.set(number, await openMounted({ path, image, offsetBytes: 0, number, filesystem }))
    return result
  }

  const answers: Answers = {
    ...more,
    '/open': open,
    '/list': (asked: ListRequest) => withReason(asked, () => readerOf(asked).list(pathOf(asked), asked)),
    '/info': (asked: PathRequest) => withReason(asked, () => readerOf(asked).info(pathOf(asked))),
  }
  const contents: Record<string, (asked: never, behind: AsyncIterable<Buffer>) => Promise<Content>> = {
    '/read': (asked: ReadRequest) =>
      withReason(asked, () => readerOf(asked).read(pathOf(asked), asked.start, asked.length)),
    '/index': (asked: IndexRequest, chunks) =>
      withReason(asked, () => readerOf(asked).index({ bytes: asked.known_bytes, chunks })),
    '/fingerprints': (asked: FingerprintsRequest) => withReason(asked, () => readerOf(asked).fingerprints()),
    '/digests': (asked: DigestRequest) =>
      withReason(asked, () => readerOf(asked).digests(asked.paths_b64.map((path) => Buffer.from(path, 'base64')))),
    '/archive': (asked: ArchiveRequest) =>
      withReason(asked, () => readerOf(asked).archive(pathOf(asked), archiveOptions(asked))),
  }

  return async (request, response) => {
    try {
      // What the agent asks has its limits.
      const { json, rest } = await readMessage(request, Number.POSITIVE_INFINITY)
      const asked = JSON.parse(json) as never
      // Also where nobody wants it: a stream of HTTP/2 is over when all of it was read.
      const readRest = () => void readBytes(rest, Number.POSITIVE_INFINITY).catch(() => undefined)
      const content = contents[request.url!]
      if (content) await sayContent(response, await content(asked, rest).finally(readRest))
      else sayJson(response, 200, await answers[request.url!]!(asked).finally(readRest))
    } catch (error) {
      const known =
        error instanceof HubError
          ? error
          : new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read here", {
              details: String(error),
            })
      sayJson(response, known.status, { code: known.code, message: known.message, details: known.details ?? '' })
    }
  }
}

const sayJson = (response: Response, status: number, body: unknown) => {
  // Both kinds take it, but share no type.
  const plain = response as ServerResponse
  plain.writeHead(status, { 'Content-Type': 'application/json' })
  plain.end(JSON.stringify(body))
}

const sayContent = async (response: Response, content: Content) => {
  const cut = new AbortController()
  response.once('close', () => cut.abort(new Error('the agent went away')))
  const plain = response as ServerResponse
  plain.writeHead(200, { 'Content-Type': 'application/octet-stream', Trailer: wholeTrailer })
  await content(plain, cut.signal).then(
    () => {
      plain.addTrailers({ [wholeTrailer]: 'yes' })
      plain.end()
    },
    (error: unknown) => {
      // The agent tells whoever asked.
      const details = error instanceof HubError ? `: ${error.details}` : ''
      process.stderr.write(`${String(error)}${details}\n`)
      // Never ended in order: what was cut must not look whole.
      if ('stream' in response) response.stream.close(internalError)
      else response.destroy()
    },
  )
}
