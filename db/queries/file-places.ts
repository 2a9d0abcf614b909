/** Places of the table of versions: a folder, or names of it whose hashes lie in a range. */
import { firstOfSlice, sliceOf } from '../../contract/index-slices.ts'

/** Of a folder: all of it; names with hashes from one to another; or names with these hashes. */
export type Place = { folderId: number } & ({ hashes: [least: number, most: number] | undefined } | { each: number[] })

/** Places that are asked of at once. */
const placesAtOnce = 500
/** What a statement can ask of at once. @param versions name of the table in it */
export const conditionsOf = (places: readonly Place[], versions = 'v'): string[] => {
  const conditions: string[] = []
  for (let at = 0; at < places.length; at += placesAtOnce) {
    const some = places.slice(at, at + placesAtOnce)
    const whole: number[] = []
    const parts: string[] = []
    for (const place of some) {
      const isThere = `(${versions}.folder_id = ${place.folderId} AND ${versions}.name_hash`
      if ('each' in place) parts.push(`${isThere} IN (${place.each}))`)
      else if (place.hashes) parts.push(`${isThere} BETWEEN ${place.hashes[0]} AND ${place.hashes[1]})`)
      else whole.push(place.folderId)
    }
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
