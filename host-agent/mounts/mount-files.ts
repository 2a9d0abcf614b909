/** Reads the files of a mount: listings, single files, whole folders. Every call counts as access. */
import type { Writable } from 'node:stream'
import type { FileInfo, Listing } from '../../contract/agent.ts'
import type { ArchiveOptions, ListOptions } from '../files/volume-reader.ts'
import type { Mounts } from './mounts.ts'

/** A file of a mount: its absolute path as bytes, in a partition or, without one, in the default partition. */
type GuestFile = { id: string; path: Buffer; partition: number | undefined }

/** What is left to do once the answer's head is sent: writes all of the content, or throws. To be called once, and at once. */
export type Content = (target: Writable) => Promise<void>

export class MountFiles {
  readonly #mounts: Mounts
  constructor(mounts: Mounts) {
    this.#mounts = mounts
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
}
