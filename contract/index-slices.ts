/**
 * How an index tells the files of a folder. Its names are dealt to slices by their hashes: a folder of very many is told by some slices at a time, and each of them lies in
 * one piece of the table that keeps it.
 */
import type { IndexedEntry } from './agent.ts'

/** What the index knows a file or folder by: text, or the bytes of what is none. */
export type Said = IndexedEntry[0]
/** As a table keeps it: text as it is; else its bytes as base64 behind a NUL, which no path holds. */
export const stored = (said: Said): string => (typeof said === 'string' ? said : `\0${said.b64}`)
export const saidOf = (kept: string): Said => (kept.startsWith('\0') ? { b64: kept.slice(1) } : kept)

/** Bits of a name's hash: what a number of JavaScript holds exactly, and enough that ten million names of one folder make two of them equal once in two hundred folders. */
const hashBits = 53
export const hashMax = 2 ** hashBits - 1
/** cyrb53 (bryc, public domain): two lanes of multiplications, where a SHA-256 would take as long as all the rest that is done with a name. @returns 0 to 2^53-1 */
export const hashOfBytes = (bytes: Uint8Array, from = 0, to = bytes.length): number => {
  let one = 0xdeadbeef
  let two = 0x41c6ce57
  for (let at = from; at < to; at++) {
    one = Math.imul(one ^ bytes[at]!, 2654435761)
    two = Math.imul(two ^ bytes[at]!, 1597334677)
  }
  return mixed(one, two)
}
const mixed = (one: number, two: number): number => {
  const first = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
  const second = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909)
  return 2 ** 32 * (second & (2 ** 21 - 1)) + (first >>> 0)
}
const asciiMax = 0x7f
/** @param kept as `stored` gives it @returns the hash of its bytes as UTF-8 */
export const nameHash = (kept: string): number => {
  let one = 0xdeadbeef
  let two = 0x41c6ce57
  for (let at = 0; at < kept.length; at++) {
    const code = kept.charCodeAt(at)
    if (code > asciiMax) return hashOfBytes(Buffer.from(kept))
    one = Math.imul(one ^ code, 2654435761)
    two = Math.imul(two ^ code, 1597334677)
  }
  return mixed(one, two)
}

/** Names of a slice, about. */
export const namesOfSlice = 32
export const sliceBitsMax = 24
/** @param names of a folder @returns b: it has 2^b slices */
export const sliceBits = (names: number): number =>
  Math.min(sliceBitsMax, Math.max(0, Math.ceil(Math.log2(names / namesOfSlice))))
/** The first `bits` bits of a hash. */
export const sliceOf = (hash: number, bits: number): number => Math.floor(hash / 2 ** (hashBits - bits))
/** The first 32 bits of a hash: of the names of one folder's part, as good as all of it. */
export const prefixBits = 32
/** Hashes that have the same. */
export const hashesOfPrefix = 2 ** (hashBits - prefixBits)
export const prefixMax = 2 ** prefixBits - 1
export const prefixOf = (hash: number): number => sliceOf(hash, prefixBits)
export const sliceOfPrefix = (prefix: number, bits: number): number => Math.floor(prefix / 2 ** (prefixBits - bits))
/** The least hash of a slice. */
export const firstOfSlice = (slice: number, bits: number): number => slice * 2 ** (hashBits - bits)
