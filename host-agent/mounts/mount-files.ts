/** Reads the files of a mount: listings, single files, whole folders. Every call counts as access. */
import type { Writable } from 'node:stream'
import type { DigestBody, FetchBody, FileInfo, IndexBody, IndexLine, Listing, MountBody } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import { volumeKey } from '../../contract/names.ts'
import type { ArchiveOptions, ListOptions, VolumeReader } from '../files/volume-reader.ts'
import type { KeptWalks } from './kept-walks.ts'
import type { Mounts } from './mounts.ts'

/** A file of a mount: its absolute path as bytes, in a partition or, without one, in the default partition. */
type GuestFile = { id: string; path: Buffer; partition: number | undefined }

/** What is left to do once the answer's head is sent: writes all of the content, or throws. To be called once, and at once. */
export type Content = (target: Writable) => Promise<void>

export class MountFiles {
  readonly #mounts: Mounts
  readonly #walks: KeptWalks
  constructor(mounts: Mounts, walks: KeptWalks) {
    this.#mounts = mounts
    this.#walks = walks
  }

  async list({ id, path, partition }: GuestFile, options: ListOptions): Promise<Listing> {
    return this.#mounts.use(id, partition).reader.list(path, options)
  }

  async info({ id, path, partition }: GuestFile): Promise<FileInfo> {
    return this.#mounts.use(id, partition).reader.info(path)
  }

  /** Bytes `start` to `start + length` of a file. */
  async read({ id, path, partition }: GuestFile, start: number, length: number): Promise<Content> {
    const { reader, lend } = this.#mounts.use(id, partition)
    const content = await reader.read(path, start, length)
    return (target) => lend(target, (signal) => content(target, signal))
  }

  async archive({ id, path, partition }: GuestFile, options: ArchiveOptions): Promise<Content> {
    const { reader, lend } = this.#mounts.use(id, partition)
    const content = await reader.archive(path, options)
    return (target) => lend(target, (signal) => content(target, signal))
  }

  /** Every file of a restore point's volumes, one volume after the other; nobody sees a mount. */
  async index({ walk = null, ...body }: IndexBody): Promise<Content> {
    const { disks, close } = await this.#mounts.borrow(body)
    return async (target) => {
      const cut = abortedWith(target)
      const say = (line: IndexLine) => write(target, `${JSON.stringify(line)}\n`)
      const walked = new Map<string, VolumeReader>()
      try {
        for (const partition of disks.partitions) {
          const reader = disks.readerOf(partition.number)
          if (!reader || partition.kind === 'guest') continue
          const volume = volumeKey(partition)
          await say({ volume })
          const content = await reader.index(await this.#walks.known(walk, volume))
          await content(target, cut)
          walked.set(volume, reader)
        }
        // Whoever hears of the end may ask for the next walk at once, which then waits for what is kept of this one.
        const end = say({ end: true })
        // Looked at in its turn; until then a rejection is not an unhandled one.
        end.catch(() => undefined)
        if (walk) await this.#walks.keep(walk, walked)
        await end
      } finally {
        await close()
      }
    }
  }

  /** What files of one of its volumes hold, in the same way. */
  async digests({ volume, paths_b64, ...body }: DigestBody): Promise<Content> {
    const paths = paths_b64.map((path) => Buffer.from(path, 'base64'))
    const { reader, close } = await this.#borrowVolume(body, volume)
    return async (target) => {
      try {
        await (await reader.digests(paths))(target, abortedWith(target))
        await write(target, '"end"\n')
      } finally {
        await close()
      }
    }
  }

  /** One file of a restore point, without a mount that anybody sees. */
  async fetch({ volume, path_b64, ...body }: FetchBody): Promise<{ info: FileInfo; content: Content }> {
    const path = Buffer.from(path_b64, 'base64')
    const { reader, close } = await this.#borrowVolume(body, volume)
    try {
      const info = await reader.info(path)
      const content = await reader.read(path, 0, info.size)
      return { info, content: (target) => content(target, abortedWith(target)).finally(close) }
    } catch (error) {
      await close()
      throw error
    }
  }

  /** @throws PARTITION_NOT_FOUND */
  async #borrowVolume(body: MountBody, volume: string): Promise<{ reader: VolumeReader; close: () => Promise<void> }> {
    const { disks, close } = await this.#mounts.borrow(body)
    const partition = disks.partitions.find((one) => volumeKey(one) === volume)
    const reader = partition && disks.readerOf(partition.number)
    if (reader) return { reader, close }
    await close()
    throw new HubError('PARTITION_NOT_FOUND', `There is no volume ${volume.slice(0, 100)}, or it can not be opened`)
  }
}

/** Says when whoever reads has gone. */
const abortedWith = (target: Writable): AbortSignal => {
  const cut = new AbortController()
  target.once('close', () => cut.abort(new Error('the reader went away')))
  return cut.signal
}
const write = (target: Writable, text: string): Promise<void> =>
  new Promise((resolve, reject) => target.write(text, (error) => (error ? reject(error) : resolve())))
