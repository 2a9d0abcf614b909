/** Streams the bytes of one file. */
import { Readable } from 'node:stream'
import { HubError } from '../../contract/errors.ts'
import { type Located, reopen } from './resolve.ts'

/** One read of the guest's filesystem. */
const readBytes = 1024 * 1024

/** @throws IS_DIRECTORY, NOT_A_REGULAR_FILE */
export const refuseNonFile = ({ stat }: Located) => {
  if (stat.isDirectory()) throw new HubError('IS_DIRECTORY', 'The path is a directory')
  if (!stat.isFile()) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
}

/** @returns bytes `start` to `start + length`, or an error, never fewer; takes over and closes what was located */
export const sendFile = async (located: Located, start: number, length: number): Promise<Readable> => {
  try {
    refuseNonFile(located)
    const file = await reopen(located)
    let at = start
    const end = start + length
    return new Readable({
      highWaterMark: 2 * readBytes,
      async read() {
        try {
          if (at === end) return void this.push(null)
          const wanted = Math.min(readBytes, end - at)
          const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at)
          if (bytesRead === 0) throw new Error('the file ended early')
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
  } finally {
    await located.handle.close()
  }
}
