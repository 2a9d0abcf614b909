/** The files of a mount as SFTP asks for them: attributes, folders in parts, and links that lead within their volume. */
import { posix } from 'node:path'
import type { FileInfo, GuestPath } from '../contract/agent.ts'
import type { Entry } from '../contract/api/restore.ts'
import { HubError } from '../contract/errors.ts'
import { listingLimits } from '../contract/listing-limits.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { isShown, nameBytes, type Place, placeAt } from '../workflows/mount-tree.ts'
import { useMount } from '../workflows/use-mount.ts'

/** Sizes in bytes, times in seconds since 1970. */
export type Attributes = { mode: number; size: number; mtime: number; atime: number }
export type Named = { name: string; attributes: Attributes }
export type Opened = { path: GuestPath; info: FileInfo; attributes: Attributes }

/** As many as Linux follows (path_resolution(7)). */
const linksMax = 40
/** Type bits of a mode, as SFTP gives them (stat(2)). */
const type = { folder: 0o040000, file: 0o100000, link: 0o120000 } as const
const everybodyMayRead = 0o555

const seconds = (time: string) => Math.max(0, Math.floor(Date.parse(time) / 1000) || 0)
const attributesOf = (entry: Entry): Attributes => {
  const kind = entry.is_symlink ? type.link : entry.type === 'directory' ? type.folder : type.file
  const mtime = seconds(entry.modified_time)
  return { mode: kind | Number.parseInt(entry.mode, 8), size: entry.size, mtime, atime: mtime }
}
const folderOfVolumes: Attributes = { mode: type.folder | everybodyMayRead, size: 0, mtime: 0, atime: 0 }

/** An absolute path without dots; what leads above the root ends there. */
export const absolute = (path: string): string => posix.resolve('/', path)

export class MountedTree {
  readonly #env: Env<'DB' | 'AGENT' | 'CLOCK'>
  readonly #mountId: string

  constructor(env: Env<'DB' | 'AGENT' | 'CLOCK'>, mountId: string) {
    this.#env = env
    this.#mountId = mountId
  }

  /** Of the path itself, also where it is a link. @throws what calls about a mount throw */
  async attributes(path: string): Promise<Attributes> {
    const place = await this.#placeOf(path)
    return place.kind === 'volumes' ? folderOfVolumes : attributesOf(await this.#info(place.path))
  }
  /** Of what a path leads to. */
  async attributesThroughLinks(path: string): Promise<Attributes> {
    const place = await this.#placeOf(path)
    return place.kind === 'volumes' ? folderOfVolumes : attributesOf(await this.#infoThroughLinks(place.path))
  }
  async linkTarget(path: string): Promise<string> {
    const place = await this.#placeOf(path)
    const target = place.kind === 'volumes' ? null : (await this.#info(place.path)).symlink_target
    if (target === null) throw new HubError('FILE_NOT_FOUND', 'The path is not a link')
    return target
  }

  /** All of a folder, in parts. Names that are no text are left out: SFTP of this version says names as text. */
  async *entries(path: string): AsyncGenerator<Named[]> {
    const place = await this.#placeOf(path)
    if (place.kind === 'volumes') {
      yield place.folders.map(({ name }) => ({ name, attributes: folderOfVolumes }))
      return
    }
    for (let offset = 0; ; ) {
      const page = await this.#use(() =>
        this.#env.AGENT.listFiles(this.#mountId, {
          ...place.path,
          recursive: false,
          limit: listingLimits.plain,
          offset,
        }),
      )
      yield page.entries
        .filter((entry) => isShown(entry) && entry.path_b64 === null)
        .map((entry) => ({ name: nameBytes(entry).toString('utf8'), attributes: attributesOf(entry) }))
      offset += page.entries.length
      if (page.entries.length === 0 || offset >= page.total_count) return
    }
  }

  /** @throws IS_DIRECTORY, NOT_A_REGULAR_FILE */
  async open(path: string): Promise<Opened> {
    const place = await this.#placeOf(path)
    const info = place.kind === 'volumes' ? undefined : await this.#infoThroughLinks(place.path)
    if (place.kind === 'volumes' || info!.type === 'directory')
      throw new HubError('IS_DIRECTORY', 'The path is a directory')
    if (info!.special) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
    return { path: place.path, info: info!, attributes: attributesOf(info!) }
  }

  /** A file's bytes from a place on. */
  read({ path, info }: Opened, start: number) {
    return this.#use(() =>
      this.#env.AGENT.readFile(this.#mountId, { ...path, start, length: info.size - start, etag: info.etag }),
    )
  }

  async #placeOf(path: string): Promise<Place> {
    const { partitions } = await this.#use(() => this.#env.AGENT.getMount(this.#mountId))
    return placeAt(partitions, Buffer.from(absolute(path)))
  }
  #info(path: GuestPath): Promise<FileInfo> {
    return this.#use(() => this.#env.AGENT.fileInfo(this.#mountId, path))
  }
  async #infoThroughLinks(path: GuestPath): Promise<FileInfo> {
    let at = path
    for (let hops = 0; hops < linksMax; hops++) {
      const info = await this.#info(at)
      if (!info.is_symlink) return info
      const here = Buffer.from(at.path_b64, 'base64').toString('utf8')
      const target = posix.resolve('/', posix.dirname(here), info.symlink_target ?? '')
      at = { ...at, path_b64: Buffer.from(target).toString('base64') }
    }
    throw new HubError('FILE_NOT_FOUND', 'Too many links lead to one another')
  }
  #use<T>(work: () => Promise<T>): Promise<T> {
    return useMount(this.#env, this.#mountId, work)
  }
}
