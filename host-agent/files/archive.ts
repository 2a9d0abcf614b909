/** Makes a zip or tar.gz of a directory while it is being sent. Memory stays flat whatever its size. */
import { PassThrough, type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack as tarPack } from 'tar-stream'
import ZipStream from 'zip-stream'
import type { ArchiveFormat } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { log } from '../log.ts'
import { readFolder } from './folder-threads.ts'
import type { Located, PartitionRoot } from './resolve.ts'
import { archiveName, type Walked, walkTree } from './walk.ts'

/** Files of a guest are mostly compressed already or text; the fastest level takes most of the gain. */
const compressionLevel = 1
const batchBytes = 256 * 1024
const errorsName = '_errors.txt'

type Source = Buffer | Readable
type Writer = {
  output: Readable
  add: (
    entry: {
      name: string
      mode: number
      modified: Date
      kind: 'file' | 'directory' | 'symlink'
      size: number
      target?: string
      uid: number
      gid: number
    },
    source: Source | null,
  ) => Promise<void>
  finish: () => void
  fail: (error: Error) => void
}

/** Times that an archive can't hold become the nearest it can. */
const clampDate = (nanoseconds: bigint) => {
  const seconds = Number(nanoseconds / 1_000_000_000n)
  return new Date(Math.min(Math.max(seconds, 0), 4_102_444_800) * 1000)
}

const zipWriter = (): Writer => {
  const zip = new ZipStream({ zlib: { level: compressionLevel } })
  // Zip's own times begin in 1980.
  const zipEpoch = new Date('1980-01-01T00:00:00Z')
  return {
    output: zip,
    add: ({ name, mode, modified, kind, target }, source) =>
      new Promise((resolve, reject) => {
        const data = {
          name: kind === 'directory' ? `${name}/` : name,
          type: kind,
          mode,
          date: modified < zipEpoch ? zipEpoch : modified,
          ...(target === undefined ? {} : { linkname: target }),
        }
        zip.entry(source ?? Buffer.alloc(0), data, (error: Error | null) => (error ? reject(error) : resolve()))
      }),
    finish: () => zip.finish(),
    fail: (error) => zip.destroy(error),
  }
}

/** Small writes made into large ones: a compressor takes each by itself, and a tar of small files is nothing but small writes. */
const batch = () => {
  let parts: Buffer[] = []
  let size = 0
  const take = () => {
    const data = Buffer.concat(parts, size)
    parts = []
    size = 0
    return data
  }
  return new Transform({
    writableHighWaterMark: batchBytes,
    readableHighWaterMark: batchBytes,
    transform(chunk: Buffer, _encoding, done) {
      parts.push(chunk)
      size += chunk.length
      if (size >= batchBytes) this.push(take())
      done()
    },
    flush(done) {
      if (size > 0) this.push(take())
      done()
    },
  })
}

const tarWriter = (): Writer => {
  const pack = tarPack({ highWaterMark: 1024 * 1024 })
  const gzip = createGzip({ level: compressionLevel, chunkSize: 256 * 1024 })
  pipeline(pack, batch(), gzip).catch(() => undefined)
  return {
    output: gzip,
    add: ({ name, mode, modified, kind, size, target, uid, gid }, source) =>
      new Promise((resolve, reject) => {
        const header = {
          name: kind === 'directory' ? `${name}/` : name,
          type: kind,
          mode,
          mtime: modified,
          uid,
          gid,
          size: kind === 'file' ? size : 0,
          ...(target === undefined ? {} : { linkname: target }),
        }
        const done = (error?: Error | null) => (error ? reject(error) : resolve())
        if (source instanceof Buffer) {
          pack.entry(header, source, done)
          // Back-pressure: the next file waits until the compressor has taken this one.
          return
        }
        const entry = pack.entry(header, done)
        if (source) pipeline(source, entry).catch(reject)
      }),
    finish: () => pack.finalize(),
    fail: (error) => {
      pack.destroy(error)
      gzip.destroy(error)
    },
  }
}

const write = async (writer: Writer, walked: Walked, unreadable: string[]) => {
  const { name, stat } = walked
  const common = {
    name,
    mode: Number(stat.mode) & 0o7777,
    modified: clampDate(stat.mtimeNs),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
  }
  switch (walked.kind) {
    case 'directory':
      return writer.add({ ...common, kind: 'directory' }, null)
    case 'symlink':
      return writer.add({ ...common, kind: 'symlink', target: walked.target }, null)
    case 'small':
      return writer.add({ ...common, kind: 'file' }, walked.data)
    case 'large':
      return writer.add({ ...common, kind: 'file' }, await walked.open())
    case 'unreadable':
      unreadable.push(`${name}: ${walked.reason}`)
      return
  }
}

/** An archive that silently lacks what was asked for would be found out too late. @throws FILE_NOT_FOUND, and has closed the folder then */
const checkNames = async (top: Located, only: readonly Buffer[]) => {
  const names = new Set((await readFolder(top.handle.fd)).map(({ name }) => name.toString('latin1')))
  const missing = only.find((name) => !names.has(name.toString('latin1')))
  if (!missing) return
  await top.handle.close()
  throw new HubError('FILE_NOT_FOUND', 'There is no such file', { details: archiveName(missing).slice(0, 300) })
}

/**
 * @param only names of the folder's entries; without them all
 * @returns a stream that is destroyed, never ended, when the archive can't be completed
 * @throws NOT_A_DIRECTORY; FILE_NOT_FOUND for a name that is not in the folder
 */
export const archive = async (
  root: PartitionRoot,
  top: Located,
  format: ArchiveFormat,
  only?: readonly Buffer[],
): Promise<Readable> => {
  if (!top.stat.isDirectory()) {
    await top.handle.close()
    throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
  }
  if (only) await checkNames(top, only)
  const writer = format === 'zip' ? zipWriter() : tarWriter()
  const output = new PassThrough({ highWaterMark: 1024 * 1024 })
  const cut = new AbortController()
  output.once('close', () => cut.abort())

  // One place for all of them: racing each write against one promise would keep every write in memory until the end.
  let cutWrite: (() => void) | undefined
  cut.signal.addEventListener('abort', () => cutWrite?.(), { once: true })
  const unlessCut = (work: Promise<void>): Promise<void> =>
    new Promise((resolve, reject) => {
      cutWrite = () => reject(new Error('the client went away'))
      if (cut.signal.aborted) cutWrite()
      work.then(resolve, reject)
    })

  const fill = async () => {
    const unreadable: string[] = []
    for await (const walked of walkTree(root, top, only)) await unlessCut(write(writer, walked, unreadable))
    if (unreadable.length > 0) {
      const text = Buffer.from(`These files could not be read and are not in this archive:\n${unreadable.join('\n')}\n`)
      await writer.add(
        { name: errorsName, mode: 0o644, modified: new Date(), kind: 'file', uid: 0, gid: 0, size: text.length },
        text,
      )
    }
    writer.finish()
  }
  pipeline(writer.output, output).catch(() => undefined)
  fill().catch((error: Error) => {
    if (!cut.signal.aborted) log.error({ error: String(error) }, 'an archive was cut off')
    writer.fail(error)
    output.destroy(error)
  })
  return output
}
