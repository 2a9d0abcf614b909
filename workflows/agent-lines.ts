/** What readers of guests' files tell, line by line. A reader may have been taken over by what it reads: nothing is believed that is not looked at. */
import type { Readable } from 'node:stream'
import type { DigestLine, IndexedEntry, IndexedFolder, IndexLine, UnnamedEntry } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'
import { prefixMax, sliceBitsMax } from '../contract/index-slices.ts'

/** Of a line: some thousand entries with the longest of names are less. */
const lineBytesMax = 64 * 1024 * 1024
const lineEnd = 0x0a
/** Of what a volume is called. */
const volumeLengthMax = 300
const kinds: ReadonlySet<unknown> = new Set<IndexedEntry[1]>(['f', 'd', 'l', 'o'])
const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const digest = /^[0-9a-f]{64}$/

const nonsense = () => new HubError('SERVICE_UNAVAILABLE', 'What reads the files of the backup says what can not be')
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isSaid = (value: unknown): value is IndexedEntry[0] =>
  typeof value === 'string' ? !value.includes('\0') : isObject(value) && isBase64(value.b64)
const isCount = (value: unknown, most = Number.MAX_SAFE_INTEGER): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most
const isTail = (value: readonly unknown[]) => kinds.has(value[1]) && isCount(value[2]) && Number.isSafeInteger(value[3])
const isEntry = (value: unknown): value is IndexedEntry => Array.isArray(value) && isSaid(value[0]) && isTail(value)
const isUnnamed = (value: unknown): value is UnnamedEntry =>
  Array.isArray(value) && isCount(value[0], prefixMax) && isTail(value)
const isBase64 = (value: unknown): value is string => typeof value === 'string' && base64.test(value)
const isFolder = (line: Record<string, unknown>): line is IndexedFolder =>
  isSaid(line.folder) &&
  isCount(line.bits, sliceBitsMax) &&
  isCount(line.to, 2 ** line.bits) &&
  isCount(line.from, line.to - 1) &&
  (line.same === null || isCount(line.same)) &&
  Array.isArray(line.entries) &&
  line.entries.every(isEntry) &&
  Array.isArray(line.unnamed) &&
  line.unnamed.every(isUnnamed)
const isIndexLine = (line: unknown): line is IndexLine =>
  isObject(line) &&
  ('folder' in line
    ? isFolder(line)
    : 'volume' in line
      ? typeof line.volume === 'string' && line.volume.length <= volumeLengthMax
      : line.end === true)
const isDigestLine = (line: unknown): line is DigestLine =>
  Array.isArray(line) && Number.isSafeInteger(line[0]) && typeof line[1] === 'string' && digest.test(line[1])

/** A stream breaks when its reader ends, which a guest's files may have made it do: that is no error of the hub's, which would try it again for ever. */
async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>
  } catch (cause) {
    throw new HubError('SERVICE_UNAVAILABLE', 'What reads the files of the backup was cut off', { cause })
  }
}

/** One at a time: what has not been asked for stays where it comes from. @throws SERVICE_UNAVAILABLE for one that is too long, and when the stream breaks */
async function* textLines(stream: Readable): AsyncGenerator<string> {
  let begun: Buffer[] = []
  let length = 0
  for await (const chunk of chunksOf(stream)) {
    let from = 0
    for (let end = chunk.indexOf(lineEnd); end >= 0; end = chunk.indexOf(lineEnd, from)) {
      yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString('utf8')
      begun = []
      length = 0
      from = end + 1
    }
    begun.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > lineBytesMax) throw nonsense()
  }
  yield Buffer.concat(begun).toString('utf8')
}

/** @throws SERVICE_UNAVAILABLE for what is no JSON */
async function* jsonLines(stream: Readable): AsyncGenerator<unknown> {
  for await (const text of textLines(stream)) {
    if (text === '') continue
    let line: unknown
    try {
      line = JSON.parse(text)
    } catch {
      throw nonsense()
    }
    yield line
  }
}

/** @throws SERVICE_UNAVAILABLE */
export async function* indexLines(stream: Readable): AsyncGenerator<IndexLine> {
  let hasVolume = false
  for await (const line of jsonLines(stream)) {
    if (!isIndexLine(line) || (!hasVolume && 'folder' in line)) throw nonsense()
    hasVolume ||= 'volume' in line
    yield line
  }
}

/** What does not end with `end` was cut off. @throws SERVICE_UNAVAILABLE */
export async function* digestLines(stream: Readable): AsyncGenerator<DigestLine | 'end'> {
  for await (const line of jsonLines(stream)) {
    if (line !== 'end' && !isDigestLine(line)) throw nonsense()
    yield line
  }
}
