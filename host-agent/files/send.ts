/** Sends the bytes of one file. */
import type { FileHandle } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { HubError } from '../../contract/errors.ts'
import { type Located, reopen } from './resolve.ts'

/** One read of the guest's filesystem. */
const readBytes = 1024 * 1024

/** @throws IS_DIRECTORY, NOT_A_REGULAR_FILE */
const refuseNonFile = ({ stat }: Located) => {
  if (stat.isDirectory()) throw new HubError('IS_DIRECTORY', 'The path is a directory')
  if (!stat.isFile()) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
}

/** Opens what was located, when it is a regular file; takes over and closes what was located. @throws IS_DIRECTORY, NOT_A_REGULAR_FILE */
export const openRegular = async (located: Located): Promise<FileHandle> => {
  try {
    refuseNonFile(located)
    return await reopen(located)
  } finally {
    await located.handle.close()
  }
}

const endedEarly = () => new Error('the file ended early')

/**
 * Writes bytes `start` to `start + length` of a file into `target`: all of them, or it throws. One buffer is filled while the other
 * is on its way, and nothing is allocated in between: fresh memory for every read costs as much as reading.
 * @param signal ends it
 */
export const pumpFile = async (
  file: FileHandle,
  start: number,
  length: number,
  target: Writable,
  signal: AbortSignal,
): Promise<void> => {
  const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(readBytes, length)))
  let written: Promise<void> = Promise.resolve()
  const end = start + length
  for (let at = start, turn = 0; at < end; turn = 1 - turn) {
    const buffer = buffers[turn]!
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at)
    await written
    signal.throwIfAborted()
    if (bytesRead === 0) throw endedEarly()
    at += bytesRead
    written = write(target, buffer.subarray(0, bytesRead), signal)
    // Awaited after the next read; until then nobody else would hear of a failure.
    written.catch(() => undefined)
  }
  await written
}

/** Resolves when the chunk has left, so that its memory can be used again. */
const write = (target: Writable, chunk: Buffer, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const end = (error?: unknown) => {
      signal.removeEventListener('abort', onAbort)
      if (error) reject(error)
      else resolve()
    }
    const onAbort = () => end(signal.reason)
    signal.addEventListener('abort', onAbort)
    target.write(chunk, end)
  })

/** The same bytes as a stream; takes over and closes the file. */
export const streamFile = (file: FileHandle, start: number, length: number): Readable => {
  let at = start
  const end = start + length
  return new Readable({
    highWaterMark: 2 * readBytes,
    async read() {
      try {
        if (at === end) return void this.push(null)
        const wanted = Math.min(readBytes, end - at)
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at)
        if (bytesRead === 0) throw endedEarly()
        at += bytesRead
        this.push(bytesRead === wanted ? buffer : buffer.subarray(0, bytesRead))
      } catch (error) {
        this.destroy(error as Error)
      }
    },
    destroy(error, done) {
      file.close().then(
        () => done(error),
        () => done(error),
      )
    },
  })
}
