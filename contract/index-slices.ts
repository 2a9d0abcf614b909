/**
 * How the index is told only of what is new. The names of a folder are dealt to slices by their hashes, and a mark stands for all that a slice has. Whoever knows the marks
 * of an earlier walk needs to be told of the other slices only, and finds what it knows of them in a few places of its table.
 */
import { hash } from 'node:crypto'
import type { IndexedEntry } from './agent.ts'

/** What the index knows a file or folder by: text, or the bytes of what is none. */
export type Said = IndexedEntry[0]
/** As a table keeps it: text as it is; else its bytes as base64 behind a NUL, which no path holds. */
export const stored = (said: Said): string => (typeof said === 'string' ? said : `\0${said.b64}`)

/** 64 bits of a name, as 16 hexadecimal digits. */
export const nameHash = (kept: string): string => hash('sha256', kept).slice(0, 16)

/** Names of a slice, about: with fewer there are more marks to be kept, with more there is more to be told when one of them has changed. */
const namesOfSlice = 16
/** Digits of a hash that slices are told by. */
const sliceDigits = 6
export const sliceBitsMax = 24
/** @param names of a folder @returns b: it has 2^b slices */
export const sliceBits = (names: number): number =>
  Math.min(sliceBitsMax, Math.max(0, Math.ceil(Math.log2(names / namesOfSlice))))
/** The first `bits` bits of a hash. */
export const sliceOf = (hash: string, bits: number): number =>
  Number.parseInt(hash.slice(0, sliceDigits), 16) >>> (sliceBitsMax - bits)

/** Bytes of a mark, a part of a SHA-256. */
const markBytes = 16
/** Marks of a machine that are kept at the most, of all its volumes: they are told in one request, and more are as much work as what they save. */
export const marksMax = 1_000_000
/** Sets of marks are one after the other in their order. @param marks in hexadecimal digits */
export const joinMarks = (marks: readonly string[]): Buffer => Buffer.from([...new Set(marks)].sort().join(''), 'hex')
export const hasMark = (marks: Uint8Array, mark: Uint8Array): boolean => {
  let [from, to] = [0, marks.length / markBytes]
  while (from < to) {
    const middle = (from + to) >>> 1
    const order = Buffer.compare(marks.subarray(middle * markBytes, (middle + 1) * markBytes), mark)
    if (order === 0) return true
    if (order < 0) from = middle + 1
    else to = middle
  }
  return false
}

/** An entry, and the hash of its name. */
export type Hashed = { hash: string; entry: IndexedEntry }
/** @param from the first of the slices that all entries are of @param to the one behind them */
const deal = (entries: readonly Hashed[], bits: number, from: number, to: number): IndexedEntry[][] => {
  const slices: Hashed[][] = Array.from({ length: to - from }, () => [])
  for (const one of entries) slices[sliceOf(one.hash, bits) - from]!.push(one)
  return slices.map((slice) => slice.sort((a, b) => (a.hash < b.hash ? -1 : 1)).map(({ entry }) => entry))
}

/**
 * A line of an index, as JSON: the slices `from` to `to` of a folder, of those with a mark that is known only how many entries they have.
 * @param entries of these slices, all of them
 * @param known marks of an earlier walk
 */
export const indexedFolder = (
  folder: Said,
  entries: readonly Hashed[],
  { bits, from, to }: { bits: number; from: number; to: number },
  known: Uint8Array,
): string => {
  const path = JSON.stringify(folder)
  const marks: string[] = []
  const told: string[] = []
  let same = 0
  for (const [at, slice] of deal(entries, bits, from, to).entries()) {
    const text = JSON.stringify(slice)
    const mark = hash('sha256', `${path} ${bits} ${from + at} ${text}`, 'buffer').subarray(0, markBytes)
    marks.push(mark.toString('hex'))
    if (hasMark(known, mark)) same += slice.length
    else if (slice.length > 0) told.push(text.slice(1, -1))
  }
  return `{"folder":${path},"bits":${bits},"from":${from},"marks":${JSON.stringify(marks)},"same":${same},"entries":[${told.join(',')}]}\n`
}
