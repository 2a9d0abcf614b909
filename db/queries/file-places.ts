/** Places of the index: of a folder, the names whose hashes lie in a range. */
import { firstOfSlice, hashMax, prefixBits, sliceBitsMax, sliceOf } from '../../contract/index-slices.ts'

/** Of a folder, names with hashes from `least` to `most`. */
export type Place = { folderId: number; least: number; most: number }

/** Places that are asked of at once. */
const placesAtOnce = 500

export const wholeFolder = (folderId: number): Place => ({ folderId, least: 0, most: hashMax })
/** Slices of a folder from one to another. */
export const placeOfSlices = (folderId: number, bits: number, from: number, to: number): Place => ({
  folderId,
  least: firstOfSlice(from, bits),
  most: firstOfSlice(to, bits) - 1,
})
export const placeOfName = (folderId: number, hash: number): Place => ({ folderId, least: hash, most: hash })

export const placeOfPrefix = (folderId: number, prefix: number): Place =>
  placeOfSlices(folderId, prefixBits, prefix, prefix + 1)

/** Where larger slices begin that have this hash, too: how many slices a folder was dealt into is not known beforehand. */
const beginningsAround = (hash: number): number[] => {
  const found = new Set<number>()
  for (let bits = 0; bits <= sliceBitsMax; bits++) found.add(firstOfSlice(sliceOf(hash, bits), bits))
  return [...found]
}
const inParts = (places: readonly Place[], condition: (place: Place) => string, table: string): string[] => {
  const conditions: string[] = []
  for (let at = 0; at < places.length; at += placesAtOnce) {
    const whole: number[] = []
    const parts: string[] = []
    for (const place of places.slice(at, at + placesAtOnce))
      if (place.least === 0 && place.most === hashMax) whole.push(place.folderId)
      else parts.push(`(${table}.folder_id = ${place.folderId} AND ${condition(place)})`)
    if (whole.length > 0) parts.push(`${table}.folder_id IN (${whole})`)
    conditions.push(`(${parts.join(' OR ')})`)
  }
  return conditions
}
/** What a statement can ask of rows `s` with slices: conditions of some places each. Slices that reach into a place are found, too. */
export const slicesIn = (places: readonly Place[]): string[] =>
  inParts(
    places,
    ({ least, most }) => `(s.least IN (${beginningsAround(least)}) OR s.least BETWEEN ${least} AND ${most})`,
    's',
  )
/** As slicesIn, of rows `v` with versions. */
export const versionsIn = (places: readonly Place[]): string[] =>
  inParts(places, ({ least, most }) => `v.name_hash BETWEEN ${least} AND ${most}`, 'v')

/**
 * A slice of a folder as one number: 1 is all of it, 2 and 3 are its halves by the hashes of names, 4 to 7 its quarters, and so on. How many slices a folder has depends on how many names;
 * those of a smaller folder stay right when it grows.
 */
export const partOf = (hash: number, bits: number): number => 2 ** bits + sliceOf(hash, bits)
const bitsOfPart = (part: number) => Math.floor(Math.log2(part))
export const placeOfPart = (folderId: number, part: number): Place => {
  const bits = bitsOfPart(part)
  const at = part - 2 ** bits
  return placeOfSlices(folderId, bits, at, at + 1)
}
export const isInPart = (hash: number, part: number): boolean => {
  const bits = bitsOfPart(part)
  return sliceOf(hash, bits) === part - 2 ** bits
}
