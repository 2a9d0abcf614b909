/**
 * A guest's files as it saw them: its volumes, each at the folder where it mounts them. Paths go through symlinks from one volume to another, as they do in the
 * guest; what is below stays the volumes' own.
 */
import type { FileInfo, Listing } from '../../contract/agent.ts'
import type { Entry } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { listingLimits } from '../../contract/listing-limits.ts'
import { mapSome } from '../concurrency.ts'
import { linksAtOnce, nameText } from '../files/entries.ts'
import { joinPath, splitPath } from '../files/resolve.ts'
import type { ArchiveOptions, Content, ListOptions, VolumeReader } from '../files/volume-reader.ts'
import { archiveOfVolumes } from './archive-of-volumes.ts'
import { asEntry } from './drives.ts'
import { bytesOfPath, listVolumes } from './list-volumes.ts'
import type { VolumePart } from './volume-part.ts'

export type GuestMount = {
  /** Where it is mounted, as parts of a path; empty: the root. */
  at: Buffer[]
  reader: VolumeReader
  /** The folder of the volume that is mounted there: a subvolume of btrfs, say. */
  folder: Buffer[]
}

/** As many as Linux follows itself. */
const symlinksMax = 40
/** Folders whose true path is remembered; nothing changes in a backup. */
const rememberedMax = 5_000

const isSame = (a: readonly Buffer[], b: readonly Buffer[]) =>
  a.length === b.length && a.every((part, at) => part.equals(b[at]!))
const startsWith = (path: readonly Buffer[], start: readonly Buffer[]) =>
  path.length >= start.length && start.every((part, at) => part.equals(path[at]!))
const dotDot = Buffer.from('..')
const slash = Buffer.from('/')

type Place = { mount: GuestMount; inner: Buffer }

export class GuestView implements VolumeReader {
  readonly #mounts: readonly GuestMount[]
  readonly #number: number
  readonly #folders = new Map<string, Buffer[]>()

  /** @param mounts the root among them @param number of the view among the volumes of its mount */
  constructor(mounts: readonly GuestMount[], number: number) {
    // The deepest first: it covers what lies below it.
    this.#mounts = mounts.toSorted((a, b) => b.at.length - a.at.length)
    this.#number = number
  }

  async list(path: Buffer, options: ListOptions): Promise<Listing> {
    const guest = await this.#resolve(splitPath(path), true)
    const parts = options.recursive ? this.#partsOf(guest, [guest]) : []
    const listing =
      parts.length > 1
        ? await listVolumes(parts, options, (part) => this.#entriesBelow(guest, part))
        : await this.#listOne(guest, options)
    return {
      ...listing,
      partition: this.#number,
      path: nameText(joinPath(guest)).text,
      entries: await mapSome(listing.entries, linksAtOnce, (entry) => this.#withTarget(entry)),
    }
  }

  async #listOne(guest: readonly Buffer[], options: ListOptions) {
    const { mount, inner } = this.#placeOf(guest)
    const listing = await mount.reader.list(inner, options)
    return { ...listing, entries: listing.entries.map((entry) => moved(entry, inner, guest)) }
  }

  /** What a volume has below a folder, with the folder that it is mounted at, page by page. */
  async *#entriesBelow(
    top: readonly Buffer[],
    { reader, folder, prefix, without }: VolumePart,
  ): AsyncGenerator<Entry[] | 'truncated'> {
    const base = prefix.length === 0 ? top : [...top, ...splitPath(Buffer.concat([slash, prefix]))]
    if (prefix.length > 0) yield [asEntry(await this.info(joinPath(base)))]
    const hidden = without.map((path) => [...base, ...splitPath(Buffer.concat([slash, path]))])
    const isSeen = (entry: Entry) => {
      const path = splitPath(bytesOfPath(entry))
      return !hidden.some((one) => startsWith(path, one))
    }
    for (let offset = 0; ; offset += listingLimits.max) {
      const page = { limit: listingLimits.max, offset }
      const { entries, total_count, truncated } = await reader.list(folder, { ...page, recursive: true })
      yield entries.map((entry) => moved(entry, folder, base)).filter(isSeen)
      if (offset + listingLimits.max < total_count) continue
      if (truncated) yield 'truncated'
      return
    }
  }

  async info(path: Buffer): Promise<FileInfo> {
    const guest = await this.#resolve(splitPath(path), false)
    const { mount, inner } = this.#placeOf(guest)
    const info = await mount.reader.info(inner)
    const last = guest.at(-1)
    const own = { ...moved(info, inner, guest), name: last ? nameText(last).text : '/', partition: this.#number }
    return this.#withTarget(own)
  }

  async read(path: Buffer, start: number, length: number): Promise<Content> {
    const { mount, inner } = this.#placeOf(await this.#resolve(splitPath(path), true))
    return mount.reader.read(inner, start, length)
  }

  async archive(path: Buffer, { only, format, checksums }: ArchiveOptions): Promise<Content> {
    const top = await this.#resolve(splitPath(path), true)
    const wanted: Buffer[][] = []
    for (const one of only ?? [])
      wanted.push(await this.#resolve([...top, ...splitPath(Buffer.concat([Buffer.from('/'), one]))], false))
    const parts = this.#partsOf(top, only ? wanted : [top])
    const [first, ...others] = parts
    if (!first || others.length > 0) return archiveOfVolumes(parts, { format, checksums })
    const { reader, folder, ...what } = first
    return reader.archive(folder, { ...what, format, checksums })
  }

  /** What each volume has of the paths, all of which lie below a folder or are it. */
  #partsOf(top: readonly Buffer[], wanted: readonly (readonly Buffer[])[]): VolumePart[] {
    const below = (path: readonly Buffer[], start: readonly Buffer[]) =>
      path.length > start.length && startsWith(path, start)
    // What lies deeper comes after the folder that it is mounted in.
    return this.#mounts.toReversed().flatMap((mount) => {
      // The folder asked for, or the volume's own where it begins below that.
      const base = mount.at.length > top.length ? mount.at : top
      const own = wanted.filter((one) => this.#placeOf(one).mount === mount)
      const isWhole = wanted.some((one) => below(mount.at, one)) || own.some((one) => one.length === base.length)
      if (own.length === 0 && !isWhole) return []
      const relative = (path: readonly Buffer[]) => joinPath(path.slice(base.length)).subarray(1)
      return {
        reader: mount.reader,
        folder: this.#placeOf(base).inner,
        only: isWhole ? undefined : own.map(relative),
        // What others have mounted below is theirs, and what is hidden there nobody's.
        without: this.#mounts.filter(({ at }) => below(at, base)).map(({ at }) => relative(at)),
        prefix: joinPath(base.slice(top.length)).subarray(1),
      }
    })
  }

  async index(): Promise<Content> {
    throw new HubError('PATH_INVALID', 'Volumes are walked by themselves')
  }
  async fingerprints(): Promise<Content> {
    return this.index()
  }
  async digests(): Promise<Content> {
    return this.index()
  }

  async close(): Promise<void> {
    // Their readers are the volumes'.
  }

  /** A symlink shows what it leads to, on whatever volume that is; its own volume knows its own alone. */
  async #withTarget<E extends Entry>(entry: E): Promise<E> {
    if (!entry.is_symlink) return entry
    const path = entry.path_b64 === null ? Buffer.from(entry.path) : Buffer.from(entry.path_b64, 'base64')
    try {
      const { mount, inner } = this.#placeOf(await this.#resolve(splitPath(path), true))
      const { type, size, special, etag, modified_http } = await mount.reader.info(inner)
      return { ...entry, type, size, special, ...('etag' in entry ? { etag, modified_http } : {}) }
    } catch (error) {
      // It leads nowhere.
      if (error instanceof HubError) return entry
      throw error
    }
  }

  #placeOf(guest: readonly Buffer[]): Place {
    const mount = this.#mounts.find(({ at }) => startsWith(guest, at))!
    return { mount, inner: joinPath([...mount.folder, ...guest.slice(mount.at.length)]) }
  }

  /** @returns the path without symlinks @throws FILE_NOT_FOUND, PATH_FORBIDDEN */
  async #resolve(parts: readonly Buffer[], followLast: boolean): Promise<Buffer[]> {
    const known = this.#folders.get(joinPath(parts.slice(0, -1)).toString('latin1'))
    const found: Buffer[] = known ? [...known] : []
    const waiting = known ? parts.slice(-1) : [...parts]
    let symlinks = 0
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
      if (part.equals(dotDot)) {
        if (found.pop() === undefined) throw new HubError('PATH_FORBIDDEN', 'The path leaves the guest')
        continue
      }
      found.push(part)
      const isLast = waiting.length === 0
      if (this.#mounts.some(({ at }) => isSame(at, found)) || (isLast && !followLast)) continue
      const { mount, inner } = this.#placeOf(found)
      const { is_symlink, symlink_target } = await mount.reader.info(inner)
      if (!is_symlink || symlink_target === null) continue
      if (++symlinks > symlinksMax) throw new HubError('FILE_NOT_FOUND', 'There is no such file or directory')
      const target = Buffer.from(symlink_target)
      found.pop()
      if (target[0] === 0x2f) found.length = 0
      waiting.unshift(...splitPath(target[0] === 0x2f ? target : Buffer.concat([Buffer.from('/'), target])))
    }
    if (followLast || parts.length === 0) this.#remember(parts, found)
    return found
  }

  #remember(parts: readonly Buffer[], found: readonly Buffer[]) {
    if (this.#folders.size >= rememberedMax) this.#folders.delete(this.#folders.keys().next().value!)
    this.#folders.set(joinPath(parts).toString('latin1'), [...found])
  }
}

/** An entry of a volume with the path that the guest has for it. @param inner the folder, or the file itself, as the volume has it */
const moved = <E extends Entry>(entry: E, inner: Buffer, guest: readonly Buffer[]): E => {
  const own = entry.path_b64 === null ? Buffer.from(entry.path) : Buffer.from(entry.path_b64, 'base64')
  const isItself = own.equals(inner)
  const rest = isItself ? Buffer.alloc(0) : inner.length === 1 ? own : own.subarray(inner.length)
  const start = guest.length === 0 ? Buffer.alloc(0) : joinPath(guest)
  const path = Buffer.concat([start, rest])
  const whole = path.length === 0 ? Buffer.from('/') : path
  const { text, exact } = nameText(whole)
  return { ...entry, path: text, path_b64: exact ? null : whole.toString('base64') }
}
