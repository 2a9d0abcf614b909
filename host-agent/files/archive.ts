/** Makes a zip, tar.gz or tar.zst of a directory while it is being sent. Memory stays flat whatever its size. */
import { createHash } from 'node:crypto'
import { PassThrough, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack as tarPack } from 'tar-stream'
import ZipStream from 'zip-stream'
import type { ArchiveFormat } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { log } from '../log.ts'
import { filterHere } from '../run-tool.ts'
import { joinPath, type Located, locate, type PartitionRoot, splitPath } from './resolve.ts'
import { archiveName, type Walked, walkTree } from './walk.ts'

/** Files of a guest are mostly compressed already or text; the fastest level takes most of the gain. */
const compressionLevel = 1
const batchBytes = 256 * 1024
/** Names what could not be read, a line each after the first. */
const errorsName = '_errors.txt'
/** The same in a part of an archive: a name that no file has there, for all others lie below the folder. */
export const errorsOfPart = `/${errorsName}`
const checksumsName = '_checksums.sha256'

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

type Compressor = { input: Writable; output: Readable; end: (error: Error) => void }
const gzipCompressor = (): Compressor => {
  const gzip = createGzip({ level: compressionLevel, chunkSize: 256 * 1024 })
  return { input: gzip, output: gzip, end: (error) => gzip.destroy(error) }
}
/** By its own program, over all cores: this Node has none. */
const zstdCompressor = (): Compressor => {
  const filter = filterHere('/usr/bin/zstd', ['-1', '-T0', '-q', '--stdout', '-'])
  return { ...filter, end: filter.kill }
}

const noCompressor = (): Compressor => {
  const through = new PassThrough({ highWaterMark: 1024 * 1024 })
  return { input: through, output: through, end: (error) => through.destroy(error) }
}

const tarWriter = ({ input, output, end }: Compressor): Writer => {
  const pack = tarPack({ highWaterMark: 1024 * 1024 })
  pipeline(pack, batch(), input).catch(() => undefined)
  return {
    output,
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
      end(error)
    },
  }
}

/** A line as `sha256sum -c` reads it: a name with a line's end or a backslash in it is written with backslashes. */
const checksumLine = (name: string, digest: string) => {
  const escaped = name.replace(/[\\\n\r]/g, (character) => ({ '\\': '\\\\', '\n': '\\n' })[character] ?? '\\r')
  return `${escaped === name ? '' : '\\'}${digest}  ${escaped}\n`
}
/** What goes through it is what the digest is of. */
const hashing = (source: Readable, onDigest: (digest: string) => void): Readable => {
  const hash = createHash('sha256')
  const through = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
    flush(done) {
      onDigest(hash.digest('hex'))
      done()
    },
  })
  pipeline(source, through).catch((error: Error) => through.destroy(error))
  return through
}

/** @param checksums gets the line of each file, where a list is wanted */
const write = async (writer: Writer, walked: Walked, unreadable: string[], checksums: string[] | undefined) => {
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
      checksums?.push(checksumLine(name, createHash('sha256').update(walked.data).digest('hex')))
      return writer.add({ ...common, kind: 'file' }, walked.data)
    case 'large': {
      const source = await walked.open()
      const kept = checksums ? hashing(source, (digest) => checksums.push(checksumLine(name, digest))) : source
      return writer.add({ ...common, kind: 'file' }, kept)
    }
    case 'unreadable':
      unreadable.push(`${name}: ${walked.reason}`)
      return
  }
}

/** An archive that silently lacks what was asked for would be found out too late. @throws FILE_NOT_FOUND, PATH_INVALID */
const checkWanted = async (root: PartitionRoot, top: Located, only: readonly (readonly Buffer[])[]) => {
  for (const parts of only) {
    const whole = [...top.path, ...parts]
    const { handle, path } = await locate(root, whole, false)
    await handle.close()
    // Folders are walked as they are: nobody comes by the name of a symlink to what it leads to.
    if (parts.length === 0 || !joinPath(path).equals(joinPath(whole)))
      throw new HubError('FILE_NOT_FOUND', 'There is no such file', {
        details: `a part of it is a symlink: ${archiveName(joinPath(parts)).slice(0, 300)}`,
      })
  }
}

export type ArchiveOptions = {
  /** `tar`: for what puts several together (guest/archive-of-volumes.ts). */
  format: ArchiveFormat | 'tar'
  /** Whether a list of checksums lies in it. */
  checksums: boolean
  /** Below the folder these alone, by their paths from there on; without them all. */
  only: readonly Buffer[] | undefined
  /** Below the folder these are left out, by their paths from there on, with all that is below them. */
  without: readonly Buffer[]
  /** What stands before each name: a path without a slash at either end, or nothing. */
  prefix: Buffer
}

const writerFor: Record<ArchiveOptions['format'], () => Writer> = {
  zip: zipWriter,
  tar: () => tarWriter(noCompressor()),
  'tar.gz': () => tarWriter(gzipCompressor()),
  'tar.zst': () => tarWriter(zstdCompressor()),
}
const partsOf = (path: Buffer) => splitPath(Buffer.concat([Buffer.from('/'), path]))

/**
 * @returns a stream that is destroyed, never ended, when the archive can't be completed
 * @throws NOT_A_DIRECTORY; FILE_NOT_FOUND for one of `only`
 */
export const archive = async (root: PartitionRoot, top: Located, options: ArchiveOptions): Promise<Readable> => {
  const only = options.only?.map(partsOf)
  try {
    if (!top.stat.isDirectory()) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
    if (only) await checkWanted(root, top, only)
  } catch (error) {
    await top.handle.close()
    throw error
  }
  const [without, prefix] = [options.without.map(partsOf), partsOf(options.prefix)]
  return archiveOf(walkTree(root, top, { only, without, prefix }), options)
}

/** @returns a stream that is destroyed, never ended, when the archive can't be completed */
export const archiveOf = (
  entries: AsyncIterable<Walked>,
  { format, checksums: isListed }: Pick<ArchiveOptions, 'format' | 'checksums'>,
): Readable => {
  const writer = writerFor[format]()
  const checksums: string[] | undefined = isListed ? [] : undefined
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
    const own = (name: string, text: Buffer) =>
      writer.add({ name, mode: 0o644, modified: new Date(), kind: 'file', uid: 0, gid: 0, size: text.length }, text)
    for await (const walked of entries) await unlessCut(write(writer, walked, unreadable, checksums))
    if (unreadable.length > 0)
      await own(
        format === 'tar' ? errorsOfPart : errorsName,
        Buffer.from(`These files could not be read and are not in this archive:\n${unreadable.join('\n')}\n`),
      )
    if (checksums) await own(checksumsName, Buffer.from(checksums.join('')))
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
