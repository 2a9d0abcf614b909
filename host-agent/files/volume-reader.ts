/** Reading the files of a mount's volumes: here by the process that has them mounted; by way of a sandbox in sandbox/reader-client.ts. */
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FileInfo, Listing } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import { type Coming, readShared } from '../../contract/json-and-bytes.ts'
import type { ArchiveOptions } from './archive.ts'
import { writeDigestLines } from './digests.ts'
import { nameText, toFileInfo } from './entries.ts'
import { warmUpWalk, writeIndexLines } from './index-lines.ts'
import { listFolder, listTree, type Page } from './list.ts'
import { joinPath, locate, openRoot, type PartitionRoot, splitPath } from './resolve.ts'
import { openRegular, pumpFile } from './send.ts'
import { SortedFolders } from './sorted-folders.ts'
import { streamsOf } from './streams.ts'
import type { WalkFingerprints } from './walk-fingerprints.ts'

/** What is left to do once the answer's head is sent: writes all of the content, or throws. To be called once, and at once. */
export type Content = (target: Writable, signal: AbortSignal) => Promise<void>
export type { ArchiveOptions }
export type ListOptions = Page & { recursive: boolean }

/** Paths are absolute in their volume, as bytes. All throw PATH_INVALID, PATH_FORBIDDEN, FILE_NOT_FOUND, SERVICE_UNAVAILABLE. */
export interface VolumeReader {
  /** @throws NOT_A_DIRECTORY */
  list(path: Buffer, options: ListOptions): Promise<Listing>
  info(path: Buffer): Promise<FileInfo>
  /** Bytes `start` to `start + length` of a file. @throws IS_DIRECTORY, NOT_A_REGULAR_FILE */
  read(path: Buffer, start: number, length: number): Promise<Content>
  /** @throws NOT_A_DIRECTORY; FILE_NOT_FOUND for one of `only` */
  archive(path: Buffer, options: ArchiveOptions): Promise<Content>
  /** Lines of JSON (IndexedFolder). @param known fingerprints of an earlier walk, as they come */
  index(known: Coming): Promise<Content>
  /** Fingerprints of the last walk that came to its end, for the next one. @throws SERVICE_UNAVAILABLE when there was none */
  fingerprints(): Promise<Content>
  /** Lines of JSON (DigestLine) of regular files. */
  digests(paths: readonly Buffer[]): Promise<Content>
  /** Lets go of the volume, so that it can be unmounted. */
  close(): Promise<void>
}

/** `path`: where it is mounted; `image`: the device or file that it lies on, from `offsetBytes` on; `number`: for the answers. */
type Volume = { path: string; image: string; offsetBytes: number; number: number; filesystem: string }
export const openMounted = async (volume: Volume): Promise<VolumeReader> =>
  new MountedVolume(await openRoot(volume.path), volume)

class MountedVolume implements VolumeReader {
  readonly #root: PartitionRoot
  readonly #volume: Volume
  readonly #sorted = new SortedFolders()
  #walked: WalkFingerprints | undefined
  constructor(root: PartitionRoot, volume: Volume) {
    this.#root = root
    this.#volume = volume
  }

  async list(path: Buffer, options: ListOptions): Promise<Listing> {
    const located = await locate(this.#root, splitPath(path), true)
    try {
      const { entries, totalCount, truncated } = options.recursive
        ? await listTree(this.#root, located, options)
        : await listFolder(this.#root, this.#sorted, located, options)
      return {
        partition: this.#volume.number,
        path: nameText(joinPath(located.path)).text,
        entries,
        total_count: totalCount,
        truncated,
      }
    } finally {
      await located.handle.close()
    }
  }

  async info(path: Buffer): Promise<FileInfo> {
    const own = await locate(this.#root, splitPath(path), false)
    try {
      const parent = await locate(this.#root, own.path.slice(0, -1), true)
      try {
        const hasStreams = this.#volume.filesystem === 'ntfs'
        const streams = hasStreams && !own.stat.isSymbolicLink() ? await streamsOf(own.handle.fd) : []
        return await toFileInfo(this.#root, own, parent.handle.fd, { partition: this.#volume.number, streams })
      } finally {
        await parent.handle.close()
      }
    } finally {
      await own.handle.close()
    }
  }

  async read(path: Buffer, start: number, length: number): Promise<Content> {
    const file = await openRegular(await locate(this.#root, splitPath(path), true))
    // Closed before the volume is let go: an open file would keep it busy.
    return (target, signal) => pumpFile(file, start, length, target, signal).finally(() => file.close())
  }

  async archive(path: Buffer, options: ArchiveOptions): Promise<Content> {
    // Loaded by the first that is asked for: mounts do not wait for it.
    const { archive } = await import('./archive.ts')
    const stream = await archive(this.#root, await locate(this.#root, splitPath(path), true), options)
    return (target, signal) => pipeline(stream, target, { signal, end: false })
  }

  async index(coming: Coming): Promise<Content> {
    const { image, offsetBytes, filesystem } = this.#volume
    const { fd } = this.#root.handle
    // What is known comes meanwhile.
    warmUpWalk()
    const known = await readShared(coming)
    return async (target, signal) => {
      this.#walked = await writeIndexLines({ fd, image, offsetBytes, filesystem }, known, target, signal)
    }
  }

  async fingerprints(): Promise<Content> {
    const walked = this.#walked
    if (!walked) throw new HubError('SERVICE_UNAVAILABLE', 'The volume has not been walked through')
    return (target, signal) => pipeline(Readable.from(walked.chunks()), target, { signal, end: false })
  }

  async digests(paths: readonly Buffer[]): Promise<Content> {
    return (target, signal) => writeDigestLines(this.#root, paths, target, signal)
  }

  close(): Promise<void> {
    return this.#root.handle.close()
  }
}
