import type { IndexedEntry } from '../../contract/agent.ts'
import {
  type Found,
  indexedFolder,
  nameHash,
  type Said,
  type Slices,
  sliceOf,
  stored,
} from '../../contract/index-slices.ts'

/** A line of an index, of those of the entries that are in the slices. */
export const toldFolder = (
  folder: Said,
  entries: readonly IndexedEntry[],
  slices: Slices,
  known: Uint8Array = new Uint8Array(),
): string => {
  // Names as an index keeps them stand for their bytes: what is no text is told as it was given.
  const names = new Map(entries.map(([name]) => [stored(name), name]))
  let bytes = Buffer.alloc(0)
  const found: Found[] = []
  for (const [name, kind, size, modified] of entries) {
    const hash = nameHash(stored(name))
    const slice = sliceOf(hash, slices.bits)
    if (slice < slices.from || slice >= slices.to) continue
    const start = bytes.length
    bytes = Buffer.concat([bytes, Buffer.from(stored(name))])
    found.push({ start, end: bytes.length, hash, kind, size, modified })
  }
  const said = (all: Uint8Array, start: number, end: number) =>
    names.get(Buffer.from(all.subarray(start, end)).toString())!
  return indexedFolder(folder, { entries: found, bytes }, slices, known, said)
}
