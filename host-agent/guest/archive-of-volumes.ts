/** One archive of what lies on several volumes: each gives its part as a tar, and the parts become one. */
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { extract, type Header } from 'tar-stream'
import { type ArchiveOptions, archiveOf, errorsOfPart } from '../files/archive.ts'
import type { Content } from '../files/volume-reader.ts'
import { archiveName, type Walked } from '../files/walk.ts'
import type { VolumePart } from './volume-part.ts'

/** No list of errors is longer. */
const errorsBytesMax = 16 * 1024 * 1024
const millisecond = 1_000_000n

type Stat = Partial<Pick<Header, 'mode' | 'uid' | 'gid' | 'size' | 'mtime'>>
const statOf = ({ mode = 0o644, uid = 0, gid = 0, size = 0, mtime }: Stat): Walked['stat'] => ({
  mode: BigInt(mode),
  uid: BigInt(uid),
  gid: BigInt(gid),
  size: BigInt(size),
  mtimeNs: BigInt(mtime?.getTime() ?? 0) * millisecond,
})

const walkedOf = (header: Header, entry: Readable): Walked => {
  const stat = statOf(header)
  const name = header.name.replace(/\/$/, '')
  if (header.type === 'directory') return { kind: 'directory', name, stat }
  if (header.type === 'symlink') return { kind: 'symlink', name, stat, target: header.linkname ?? '' }
  return { kind: 'large', name, stat, open: async () => entry }
}

/** What a volume could not read, from the list that ends its part. */
const errorsIn = (text: string, stat: Walked['stat']): Walked[] =>
  text
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => {
      const end = line.lastIndexOf(': ')
      return { kind: 'unreadable', name: line.slice(0, end), stat, reason: line.slice(end + 2) }
    })

/** The folder that the volume is mounted at. */
const mountPoint = async ({ reader, folder, prefix }: VolumePart): Promise<Walked> => {
  const { mode, uid, gid, modified_time } = await reader.info(folder)
  const mtime = new Date(modified_time)
  return {
    kind: 'directory',
    name: archiveName(prefix),
    stat: statOf({ mode: Number.parseInt(mode, 8), uid, gid, mtime }),
  }
}

async function* entriesOf(part: VolumePart, signal: AbortSignal): AsyncGenerator<Walked> {
  const { reader, folder, only, without, prefix } = part
  if (prefix.length > 0) yield await mountPoint(part)
  const content = await reader.archive(folder, { format: 'tar', checksums: false, only, without, prefix })
  // Of another library's streams, which are Node's in all but their types.
  const tar = extract()
  const through = new PassThrough()
  const read = Promise.all([
    content(through, signal).then(
      () => through.end(),
      (error: Error) => through.destroy(error),
    ),
    pipeline(through, tar as unknown as Writable),
  ])
  // Looked at below; until then a rejection is not an unhandled one.
  read.catch(() => undefined)
  for await (const source of tar) {
    const entry = source as unknown as Readable
    const { header } = source
    if (header.name === errorsOfPart && (header.size ?? 0) <= errorsBytesMax)
      yield* errorsIn((await buffer(entry)).toString('utf8'), statOf(header))
    else {
      yield walkedOf(header, entry)
      entry.resume()
    }
  }
  await read
}

async function* entriesOfAll(parts: readonly VolumePart[], signal: AbortSignal): AsyncGenerator<Walked> {
  for (const part of parts) yield* entriesOf(part, signal)
}

export const archiveOfVolumes = (
  parts: readonly VolumePart[],
  options: Pick<ArchiveOptions, 'format' | 'checksums'>,
): Content => {
  return async (target, signal) => {
    const cut = new AbortController()
    const stream = archiveOf(entriesOfAll(parts, cut.signal), options)
    stream.once('close', () => cut.abort(new Error('the archive was cut off')))
    await pipeline(stream, target, { signal, end: false })
  }
}
