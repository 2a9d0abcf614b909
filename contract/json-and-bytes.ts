/** A message of JSON with bytes behind it: within the JSON, as base64, ten megabytes keep both sides busy for a second. */
import { HubError } from './errors.ts'

const lineEnd = 0x0a

/** What bytes may follow. Without a line's end within: JSON escapes those of strings. @param json what JSON.stringify takes */
export const messageOf = (json: unknown): Buffer => Buffer.from(`${JSON.stringify(json)}\n`)

/** `json`: text that nobody has looked at. `rest`: the bytes behind it. */
export type Message = { json: string; rest: AsyncIterable<Buffer> }

/** Resolves when the JSON has come. @param chunks their iterator is left open @throws BODY_TOO_LARGE */
export const readMessage = async (chunks: AsyncIterable<Buffer>, jsonBytesMax: number): Promise<Message> => {
  const coming = chunks[Symbol.asyncIterator]()
  const line: Buffer[] = []
  let behind: Buffer = Buffer.alloc(0)
  let size = 0
  for (let next = await coming.next(); !next.done; next = await coming.next()) {
    const end = next.value.indexOf(lineEnd)
    line.push(end < 0 ? next.value : next.value.subarray(0, end))
    size += line.at(-1)!.length
    if (size > jsonBytesMax) throw tooLarge()
    if (end < 0) continue
    behind = next.value.subarray(end + 1)
    break
  }
  return { json: Buffer.concat(line).toString('utf8'), rest: following(behind, coming) }
}
async function* following(first: Buffer, coming: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await coming.next(); !next.done; next = await coming.next()) yield next.value
}

/** @param chunks of which none is left out @throws BODY_TOO_LARGE */
export const readBytes = async (chunks: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> => {
  const all: Buffer[] = []
  let total = 0
  for await (const chunk of chunks) {
    all.push(chunk)
    total += chunk.length
    if (total > bytesMax) throw tooLarge()
  }
  return Buffer.concat(all, total)
}
const tooLarge = () => new HubError('BODY_TOO_LARGE', 'The request body is too large')

/** As many bytes as are said, as they come. */
export type Coming = { bytes: number; chunks: AsyncIterable<Buffer> }
/** Into memory that can be shown to other threads. @throws VALIDATION_FAILED for more or fewer */
export const readShared = async ({ bytes, chunks }: Coming): Promise<Buffer> => {
  const all = Buffer.from(new SharedArrayBuffer(bytes))
  let filled = 0
  for await (const chunk of chunks) {
    if (filled + chunk.length > bytes) throw notAsSaid()
    all.set(chunk, filled)
    filled += chunk.length
  }
  if (filled < bytes) throw notAsSaid()
  return all
}
/** There are more bytes than was said, or fewer. */
export const notAsSaid = () => new HubError('VALIDATION_FAILED', 'The request has not the bytes that it says')
