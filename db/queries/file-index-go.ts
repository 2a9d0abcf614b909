/** What becomes of the index when some folders of a point are told: compared with what is known of them, nobody is asked. */
import type { IndexedEntry } from '../../contract/agent.ts'
import { firstOfSlice, nameHash, sliceOf, stored } from '../../contract/index-slices.ts'
import type { Delta } from './file-deltas.ts'
import { FolderSlices, type KeptSlice } from './file-slices.ts'
import {
  type Bounds,
  isAlike,
  isPast,
  type Placed,
  stillThere,
  type Version,
  versionAt,
  withPoint,
} from './file-timeline.ts'
import { changedNames, dealt, type Told, type ToldSlice } from './file-told.ts'
import type { LostName, WordWriter } from './file-words.ts'
import { columnText, Rows } from './load-rows.ts'

export type ToldPart = Told & { volumeId: number; folderId: number }

/** What the table has of a folder: slices, and versions that the newest point does not have. */
export type Known = { slices: readonly KeptSlice[]; past: readonly Placed[] }

/** Rows of one go, with a tab between columns; what is gone goes first. */
export class Go {
  readonly slices: Rows
  readonly versions: string[] = []
  readonly changes: string[] = []
  /** Names of which something is known no more. */
  readonly lost: LostName[] = []
  readonly goneSlices: { folderId: number; least: number }[] = []
  readonly goneVersions: { folderId: number; hash: number; firstAt: number }[] = []
  readonly deltas: string[] = []
  /** Those that are in the slices now. */
  readonly goneDeltas: { folderId: number; least: number }[] = []
  /** Folders that were told to their end. */
  readonly seen: string[] = []
  readonly folders = new Set<number>()
  /** Entries that are none: with too long a name, or not of the slices that they are told in. */
  leftOut = 0
  readonly #point: Bounds
  readonly #words: WordWriter

  /** @param sliceBytes that there is room for at first */
  constructor(point: Bounds, words: WordWriter, sliceBytes: number | undefined) {
    this.#point = point
    this.#words = words
    this.slices = new Rows(sliceBytes)
  }

  /** All that is told of one folder in this go. @param known of these slices; undefined: nothing is known of the whole machine */
  addFolder(parts: readonly ToldPart[], known: Known | undefined): void {
    this.#take(parts, known)
    this.#seeEnds(parts)
  }
  /** The same, to be merged into its slices later. @param rows of it */
  addDeltas(parts: readonly ToldPart[], rows: readonly string[]): void {
    this.folders.add(parts[0]!.folderId)
    this.deltas.push(...rows)
    this.#seeEnds(parts)
  }
  /** Deltas of one folder. @param known of its slices */
  merge(deltas: readonly Delta[], known: readonly KeptSlice[]): void {
    this.#take(deltas.map(partOf), { slices: known, past: [] })
    this.goneDeltas.push(...deltas)
  }

  #seeEnds(parts: readonly ToldPart[]): void {
    for (const { folderId, bits, to } of parts) if (to === 2 ** bits) this.seen.push(`${folderId}`)
  }
  #take(parts: readonly ToldPart[], known: Known | undefined): void {
    const { folderId } = parts[0]!
    this.folders.add(folderId)
    const slices = new FolderSlices(known?.slices ?? [])
    for (const part of parts) {
      if (!known) for (const slice of this.#dealt(part)) this.#addNew(part, slice, slices)
      else if (part.same === null) this.#compare(part, slices, known.past)
      else this.#change(part, slices)
    }
    for (const { least, bits, files } of slices.changed())
      this.slices.add(`${folderId}\t${least}\t${bits}\t${columnText(files)}`)
    for (const least of slices.gone()) this.goneSlices.push({ folderId, least })
  }

  #dealt(part: ToldPart): ToldSlice[] {
    const { slices, leftOut } = dealt(part)
    // Of what is not known nobody can tell without its name.
    this.leftOut += leftOut + part.unnamed.length
    return slices
  }

  #addNew({ bits, folderId }: ToldPart, { number, entries, hashes }: ToldSlice, slices: FolderSlices): void {
    slices.set({ bits, least: firstOfSlice(number, bits), groups: [[this.#point.at, entries]] })
    for (const [at, [name]] of entries.entries()) this.#words.add(stored(name), folderId, hashes[at]!, bits)
  }

  /** All of these slices is told. */
  #compare(part: ToldPart, slices: FolderSlices, past: readonly Placed[]): void {
    const { bits, from, to } = part
    const names = new Map<string, { hash: number; versions: Version[]; entry: IndexedEntry | undefined }>()
    const nameOf = (said: IndexedEntry, ofHash?: number) => {
      const name = stored(said[0])
      let found = names.get(name)
      if (!found) {
        found = { hash: ofHash ?? nameHash(name), versions: [], entry: undefined }
        names.set(name, found)
      }
      return found
    }
    for (const { entry, firstAt } of slices.take(bits, from, to))
      nameOf(entry).versions.push({ entry, firstAt, lastAt: stillThere })
    for (const { hash, entry, firstAt, lastAt } of past) {
      const number = sliceOf(hash, bits)
      if (number >= from && number < to) nameOf(entry, hash).versions.push({ entry, firstAt, lastAt })
    }
    for (const { entries, hashes } of this.#dealt(part))
      for (const [at, entry] of entries.entries()) nameOf(entry, hashes[at]!).entry = entry
    for (const [name, { hash, versions, entry }] of names) this.#know(part, slices, name, hash, versions, entry)
  }

  /** The newest point is told, and all in these slices is as it was, but for what is told. */
  #change(part: ToldPart, slices: FolderSlices): void {
    const changed = changedNames(part, slices)
    for (let next = changed.next(); ; next = changed.next()) {
      if (next.done) {
        this.leftOut += next.value
        return
      }
      const { name, hash, known, entry } = next.value
      this.#know(part, slices, name, hash, known, entry)
    }
  }

  /** Keeps what is known of a name from now on. */
  #know(
    { volumeId, folderId, bits }: ToldPart,
    slices: FolderSlices,
    name: string,
    hash: number,
    known: readonly Version[],
    entry: IndexedEntry | undefined,
  ): void {
    const { versions, changedAt } = withPoint(known, entry, this.#point)
    for (const at of changedAt) this.changes.push(`${volumeId}\t${at}\t${folderId}\t${hash}`)
    for (const version of known)
      if (isPast(version) && !hasSame(versions, version))
        this.goneVersions.push({ folderId, hash, firstAt: version.firstAt })
    for (const version of versions) {
      if (!isPast(version) || hasSame(known, version)) continue
      const {
        entry: [, kind, size, modified],
        firstAt,
        lastAt,
      } = version
      this.versions.push([folderId, hash, columnText(name), kind, size, modified, firstAt, lastAt].join('\t'))
    }
    // Those of a walk that was cut off may not have been kept.
    const { before, after } = this.#point
    if (entry && !versionAt(known, before) && !versionAt(known, after)) this.#words.add(name, folderId, hash, bits)
    if (known.some((version) => !versions.some((one) => isAlike(one.entry, version.entry))))
      this.lost.push({ folderId, hash, name })
    for (const version of versions) if (!isPast(version)) slices.put(bits, sliceOf(hash, bits), version)
  }
}

const partOf = ({ folderId, volumeId, told }: Delta): ToldPart => ({ ...told, folderId, volumeId })
/** Both of one name. */
const hasSame = (versions: readonly Version[], { entry, firstAt, lastAt }: Version) =>
  versions.some((one) => one.firstAt === firstAt && one.lastAt === lastAt && isAlike(one.entry, entry))
