/** Places of the table of versions: a folder, or names of it whose hashes lie in a range. */
import { firstOfSlice, sliceOf } from '../../contract/index-slices.ts'

/** `hashes`: undefined for the whole folder. */
export type Place = { folderId: number; hashes: [least: number, most: number] | undefined }

/** Places that are asked of at once. */
const placesAtOnce = 500
/** What a statement can ask of at once. @param versions name of the table in it */
export const conditionsOf = (places: readonly Place[], versions = 'v'): string[] => {
  const conditions: string[] = []
  for (let at = 0; at < places.length; at += placesAtOnce) {
    const some = places.slice(at, at + placesAtOnce)
    const whole = some.filter(({ hashes }) => hashes === undefined).map(({ folderId }) => folderId)
    const parts = some.flatMap(({ folderId, hashes }) =>
      hashes
        ? [`(${versions}.folder_id = ${folderId} AND ${versions}.name_hash BETWEEN ${hashes[0]} AND ${hashes[1]})`]
        : [],
    )
    if (whole.length > 0) parts.push(`${versions}.folder_id IN (${whole})`)
    conditions.push(`(${parts.join(' OR ')})`)
  }
  return conditions
}

/** Slices of a folder from one to another. */
export const placeOfSlices = (folderId: number, bits: number, from: number, to: number): Place => ({
  folderId,
  hashes: to - from === 2 ** bits ? undefined : [firstOfSlice(from, bits), firstOfSlice(to, bits) - 1],
})

/** A part of a folder that words are found by has this times as many names as a slice: the fewer parts, the fewer rows have the same word. */
const bitsLess = 2
/**
 * A part of a folder as one number: 1 is all of it, 2 and 3 are its halves by the hashes of names, 4 to 7 its quarters, and so on. Which parts a folder is told in depends on
 * how many names it has; those of a smaller folder stay right when it grows.
 * @param bits of the folder's slices
 */
export const partOf = (hash: number, bits: number): number => {
  const less = Math.max(0, bits - bitsLess)
  return 2 ** less + sliceOf(hash, less)
}
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
