/** What a walk tells of a folder's names, and what was known of each: nobody is asked. */
import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf, sliceOfPrefix, stored } from '../../contract/index-slices.ts'
import { type Place, placeOfSlices } from './file-places.ts'
import { type FolderSlices, hashOfEntry, type Present } from './file-slices.ts'
import { stillThere, type Version } from './file-timeline.ts'

/** Of the column; longer than any that has 255 characters, or bytes that are none. */
const nameLengthMax = 1400

/** What is told of one folder: all of these slices, or what has changed in them. */
export type Told = Pick<IndexedFolder, 'bits' | 'from' | 'to' | 'same' | 'entries' | 'unnamed'>
/** Names of one slice that are told. */
export type ToldSlice = { number: number; entries: IndexedEntry[]; hashes: number[] }

/** Entries by their slices. `leftOut`: those that are none, with too long a name, or not of the slices that they are told in. */
export const dealt = ({ bits, from, to, entries }: Told): { slices: ToldSlice[]; leftOut: number } => {
  const slices = new Map<number, ToldSlice>()
  let leftOut = 0
  for (const entry of entries) {
    const name = stored(entry[0])
    const hash = nameHash(name)
    const number = sliceOf(hash, bits)
    if (name.length > nameLengthMax || number < from || number >= to) {
      leftOut++
      continue
    }
    const slice = slices.get(number)
    if (slice) {
      slice.entries.push(entry)
      slice.hashes.push(hash)
    } else slices.set(number, { number, entries: [entry], hashes: [hash] })
  }
  return { slices: [...slices.values()].sort((a, b) => a.number - b.number), leftOut }
}

/** Where the table has what is to be compared. */
export const placesOfTold = ({
  folderId,
  bits,
  from,
  to,
  same,
  entries,
  unnamed,
}: Told & { folderId: number }): Place[] => {
  if (same === null) return [placeOfSlices(folderId, bits, from, to)]
  const slices = new Set(entries.map((entry) => sliceOf(hashOfEntry(entry), bits)))
  for (const [prefix] of unnamed) slices.add(sliceOfPrefix(prefix, bits))
  return [...slices].map((slice) => placeOfSlices(folderId, bits, slice, slice + 1))
}

/** A name that the newest point has otherwise than the one before. */
export type Changed = { name: string; hash: number; known: Version[]; entry: IndexedEntry }
/**
 * Takes out of slices what has changed in them; who asks puts each back as it is, before the next one is given.
 * @param slices of the folder, as they were @returns how many are no names of the folder
 */
export function* changedNames(told: Told, slices: FolderSlices): Generator<Changed, number> {
  const { bits, from, to, unnamed } = told
  let { slices: named, leftOut } = dealt(told)
  for (const { number, entries, hashes } of named)
    for (const [at, entry] of entries.entries()) {
      const name = stored(entry[0])
      const known = slices.takeOne(bits, number, (one) => stored(one[0]) === name)
      yield { name, hash: hashes[at]!, known: versionsOf(known), entry }
    }
  for (const [prefix, ...rest] of unnamed) {
    const number = sliceOfPrefix(prefix, bits)
    const isIn = number >= from && number < to
    const known = isIn && slices.takeOne(bits, number, (one) => prefixOf(hashOfEntry(one)) === prefix)
    if (known) {
      const [name] = known.entry
      yield { name: stored(name), hash: hashOfEntry(known.entry), known: versionsOf(known), entry: [name, ...rest] }
    } else leftOut++
  }
  return leftOut
}
const versionsOf = (present: Present | undefined): Version[] => (present ? [{ ...present, lastAt: stillThere }] : [])
