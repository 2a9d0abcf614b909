/** Small parts of a guest's files, for those who look into them. */
import { Writable } from 'node:stream'
import type { VolumeReader } from '../files/volume-reader.ts'

const timeoutMs = 10_000

/** @returns bytes `start` to `start + length` of a file */
export const contentOf = async (reader: VolumeReader, path: Buffer, start: number, length: number): Promise<Buffer> => {
  const content = await reader.read(path, start, length)
  const chunks: Buffer[] = []
  const target = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk)
      done()
    },
  })
  await content(target, AbortSignal.timeout(timeoutMs))
  return Buffer.concat(chunks)
}
