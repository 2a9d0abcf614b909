/** Reads the files of a mount: listings, single files, whole folders. Every call counts as access. */
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FileInfo, Listing } from '../../contract/agent.ts'
import type { ArchiveFormat } from '../../contract/api/restore.ts'
import { archive } from '../files/archive.ts'
import { nameText, toFileInfo } from '../files/entries.ts'
import { listFolder, listTree } from '../files/list.ts'
import { joinPath, locate, splitPath } from '../files/resolve.ts'
import { openRegular, pumpFile } from '../files/send.ts'
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

  async list(
    { id, path, partition }: GuestFile,
    options: { recursive: boolean; limit: number; offset: number },
  ): Promise<Listing> {
    const { number, root } = this.#mounts.use(id, partition)
    const located = await locate(root, splitPath(path), true)
    try {
      const list = options.recursive ? listTree : listFolder
      const { entries, totalCount, truncated } = await list(root, located, options)
      return {
        partition: number,
        path: nameText(joinPath(located.path)).text,
        entries,
        total_count: totalCount,
        truncated,
      }
    } finally {
      await located.handle.close()
    }
  }

  async info({ id, path, partition }: GuestFile): Promise<FileInfo> {
    const { number, root } = this.#mounts.use(id, partition)
    const own = await locate(root, splitPath(path), false)
    try {
      const parent = await locate(root, own.path.slice(0, -1), true)
      try {
        return await toFileInfo(root, own, parent.handle.fd, number)
      } finally {
        await parent.handle.close()
      }
    } finally {
      await own.handle.close()
    }
  }

  /** Bytes `start` to `start + length` of a file. */
  async read({ id, path, partition }: GuestFile, start: number, length: number): Promise<Content> {
    const { root, lend } = this.#mounts.use(id, partition)
    const file = await openRegular(await locate(root, splitPath(path), true))
    return (target) =>
      // Closed before the mount is let go: an open file would keep it busy.
      lend(target, (signal) => pumpFile(file, start, length, target, signal).finally(() => file.close()))
  }

  async archive({ id, path, partition }: GuestFile, format: ArchiveFormat): Promise<Content> {
    const { root, lend } = this.#mounts.use(id, partition)
    const stream = await archive(root, await locate(root, splitPath(path), true), format)
    return (target) => lend(target, (signal) => pipeline(stream, target, { signal, end: false }))
  }
}
