/**
 * What the newest indexed point has of a folder lies in the table by the slice, some thirty names in a row: a server takes as long for a row as for many names in it.
 * A folder that grows is dealt into more slices when it is told anew; no name is ever in two.
 */
import type { IndexedEntry } from '../../contract/agent.ts'
import { firstOfSlice, nameHash, sliceOf, stored } from '../../contract/index-slices.ts'

/** Files with the point that each is in since. */
export type Group = [firstAt: number, entries: IndexedEntry[]]
/** One of 2^bits slices, with names of `least` and greater hashes. */
export type Slice = { bits: number; least: number; groups: Group[] }
/** One that the table has: `files` is what it has in that column. */
export type KeptSlice = { bits: number; least: number; files: string }
export type Present = { entry: IndexedEntry; firstAt: number }

export const toSlice = ({ bits, least, files }: KeptSlice): Slice => ({ bits, least, groups: JSON.parse(files) })
const toKept = ({ bits, least, groups }: Slice): KeptSlice => ({ bits, least, files: JSON.stringify(groups) })

const endOf = ({ bits, least }: Slice) => least + firstOfSlice(1, bits)
export const hashOfEntry = ([name]: IndexedEntry): number => nameHash(stored(name))
export function* entriesOf({ groups }: Slice): Generator<Present> {
  for (const [firstAt, entries] of groups) for (const entry of entries) yield { entry, firstAt }
}

/** Slices of one folder while they are changed. */
export class FolderSlices {
  readonly #slices = new Map<number, Slice>()
  /** Those that the table has, by `least`. */
  readonly #kept = new Map<number, string>()
  readonly #changed = new Set<number>()

  /** @param kept what the table has of the part of the folder that is to be changed */
  constructor(kept: readonly KeptSlice[]) {
    for (const slice of kept) {
      this.#slices.set(slice.least, toSlice(slice))
      this.#kept.set(slice.least, slice.files)
    }
  }

  /** Takes out one entry of a slice of 2^bits. */
  takeOne(bits: number, number: number, isIt: (entry: IndexedEntry) => boolean): Present | undefined {
    const least = firstOfSlice(number, bits)
    if (this.#slices.get(least)?.bits !== bits)
      for (const present of this.take(bits, number, number + 1)) this.put(bits, number, present)
    const slice = this.#slices.get(least)
    for (const [firstAt, entries] of slice?.groups ?? []) {
      const at = entries.findIndex(isIt)
      if (at < 0) continue
      const [entry] = entries.splice(at, 1)
      slice!.groups = slice!.groups.filter(([, left]) => left.length > 0)
      this.set(slice!)
      return { entry: entry!, firstAt }
    }
    return undefined
  }

  /** Takes out all that is in slices `from` to `to` of 2^bits. What larger slices have besides is dealt into as many as that. */
  take(bits: number, from: number, to: number): Present[] {
    const [least, end] = [firstOfSlice(from, bits), firstOfSlice(to, bits)]
    const taken: Present[] = []
    for (const slice of [...this.#slices.values()]) {
      if (slice.least >= end || endOf(slice) <= least) continue
      this.#slices.delete(slice.least)
      const isInside = slice.least >= least && endOf(slice) <= end
      for (const present of entriesOf(slice)) {
        const hash = isInside ? least : hashOfEntry(present.entry)
        if (hash >= least && hash < end) taken.push(present)
        else this.put(bits, sliceOf(hash, bits), present)
      }
    }
    return taken
  }
  put(bits: number, number: number, { entry, firstAt }: Present): void {
    const least = firstOfSlice(number, bits)
    const slice = this.#slices.get(least) ?? { bits, least, groups: [] }
    const group = slice.groups.find(([at]) => at === firstAt)
    if (group) group[1].push(entry)
    else slice.groups.push([firstAt, [entry]])
    this.set(slice)
  }
  /** In place of what was there. */
  set(slice: Slice): void {
    this.#slices.set(slice.least, slice)
    this.#changed.add(slice.least)
  }

  *all(): Generator<Present> {
    for (const slice of this.#slices.values()) yield* entriesOf(slice)
  }
  /** What the table is to have, and has not. */
  *changed(): Generator<KeptSlice> {
    for (const least of this.#changed) {
      const slice = this.#slices.get(least)
      const kept = slice && slice.groups.length > 0 ? toKept(slice) : undefined
      if (kept && kept.files !== this.#kept.get(least)) yield kept
    }
  }
  /** `least` of those that the table is to have no more. */
  gone(): number[] {
    return [...this.#kept.keys()].filter((least) => !this.#slices.get(least)?.groups.length)
  }
}
