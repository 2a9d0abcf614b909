/**
 * How the index is told only of what is new. The names of a folder are dealt to slices by their hashes, and a mark stands for all that a slice has. Whoever knows the marks
 * of an earlier walk needs to be told of the other slices only, and finds what it knows of them in a few places of its table.
 */
import { hash } from 'node:crypto'
import type { IndexedEntry, IndexedFolder } from './agent.ts'

/** What the index knows a file or folder by: text, or the bytes of what is none. */
export type Said = IndexedEntry[0]
/** As a table keeps it: text as it is; else its bytes as base64 behind a NUL, which no path holds. */
export const stored = (said: Said): string => (typeof said === 'string' ? said : `\0${said.b64}`)

/** Bits of a name's hash: what a number of JavaScript holds exactly, and few enough that ten million names of one folder make two of them equal once in two hundred folders. */
const hashBits = 53
/** cyrb53 (bryc, public domain): two lanes of multiplications, where a SHA-256 would take as long as all the rest that is done with a name. @returns 0 to 2^53-1 */
export const hashOfBytes = (bytes: Uint8Array, from = 0, to = bytes.length): number => {
  let [one, two] = [0xdeadbeef, 0x41c6ce57]
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    one = Math.imul(one ^ byte, 2654435761)
    two = Math.imul(two ^ byte, 1597334677)
  }
  const first = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
  const second = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909)
  return 2 ** 32 * (second & (2 ** 21 - 1)) + (first >>> 0)
}
/** @param kept as `stored` gives it */
export const nameHash = (kept: string): number => hashOfBytes(Buffer.from(kept))

/** Names of a slice, about: with fewer there are more marks to be kept, with more there is more to be told when one of them has changed. */
const namesOfSlice = 8
export const sliceBitsMax = 24
/** @param names of a folder @returns b: it has 2^b slices */
export const sliceBits = (names: number): number =>
  Math.min(sliceBitsMax, Math.max(0, Math.ceil(Math.log2(names / namesOfSlice))))
/** The first `bits` bits of a hash. */
export const sliceOf = (hash: number, bits: number): number => Math.floor(hash / 2 ** (hashBits - bits))
/** The least hash of a slice. */
export const firstOfSlice = (slice: number, bits: number): number => slice * 2 ** (hashBits - bits)

/** Bytes of a mark, a part of a SHA-256: two of a million are equal by accident once in 10^17 walks. */
export const markBytes = 12
/** Marks of a machine that are kept at the most, of all its volumes: they are told in one request, and more are as much work as what they save. */
export const marksMax = 2_000_000
/** Sets of marks are one after the other in their order. @param marks one after the other */
export const joinMarks = (marks: Uint8Array): Buffer => {
  const all = Buffer.from(marks.buffer, marks.byteOffset, marks.length)
  const each = Array.from({ length: all.length / markBytes }, (_, at) =>
    all.toString('latin1', at * markBytes, (at + 1) * markBytes),
  )
  return Buffer.from([...new Set(each)].sort().join(''), 'latin1')
}
const prefixAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
/** @param marks as joinMarks gives them @param mark has it from `at` on */
export const hasMark = (marks: Uint8Array, mark: Uint8Array, at = 0): boolean => {
  const sought = prefixAt(mark, at)
  let [from, to] = [0, marks.length / markBytes]
  while (from < to) {
    const middle = (from + to) >>> 1
    const place = middle * markBytes
    let order = prefixAt(marks, place) - sought
    for (let byte = 4; order === 0 && byte < markBytes; byte++) order = marks[place + byte]! - mark[at + byte]!
    if (order === 0) return true
    if (order < 0) from = middle + 1
    else to = middle
  }
  return false
}

/** An entry of a folder. Its name is `bytes` from `start` to `end`. */
export type Found = {
  start: number
  end: number
  hash: number
  kind: IndexedEntry[1]
  size: number
  modified: number
}
/** Some names of a folder: all that are in its slices `from` to `to`. */
export type Slices = { bits: number; from: number; to: number }

/** What a mark is made of; longer than any of a slice that was not made to be long. */
let scratch = Buffer.alloc(64 * 1024)
const numbersBytes = 18
const kindAt = 16
/** @returns how much of `scratch` it takes */
const writeEntry = (at: number, bytes: Uint8Array, { start, end, kind, size, modified }: Found): number => {
  const next = at + numbersBytes + end - start
  if (next > scratch.length) scratch = Buffer.concat([scratch], 2 * next)
  scratch.writeDoubleLE(size, at)
  scratch.writeDoubleLE(modified, at + 8)
  scratch[at + kindAt] = kind.charCodeAt(0)
  let place = at + kindAt + 1
  for (let from = start; from < end; from++) scratch[place++] = bytes[from]!
  // No name holds it.
  scratch[place] = 0
  return next
}
const inOrder = (bytes: Uint8Array) => (a: Found, b: Found) =>
  a.hash - b.hash || Buffer.compare(bytes.subarray(a.start, a.end), bytes.subarray(b.start, b.end))

/** @param path of the folder, as JSON @returns its first bytes are the mark */
const markOf = (path: string, bits: number, at: number, bytes: Uint8Array, slice: Found[]): Buffer => {
  let length = scratch.write(`${path} ${bits} ${at} `)
  for (const entry of slice.sort(inOrder(bytes))) length = writeEntry(length, bytes, entry)
  return hash('sha256', scratch.subarray(0, length), 'buffer')
}

/**
 * A line of an index (IndexedFolder), as JSON: the slices `from` to `to` of a folder, of those with a mark that is known only how many entries they have.
 * @param entries of these slices, all of them @param bytes have their names @param said how a name is said
 * @param known marks of an earlier walk
 */
export const indexedFolder = (
  folder: Said,
  { entries, bytes }: { entries: readonly Found[]; bytes: Uint8Array },
  { bits, from, to }: Slices,
  known: Uint8Array,
  said: (bytes: Uint8Array, start: number, end: number) => Said,
): string => {
  const path = JSON.stringify(folder)
  const slices: Found[][] = Array.from({ length: to - from }, () => [])
  for (const entry of entries) slices[sliceOf(entry.hash, bits) - from]!.push(entry)
  const marks = Buffer.allocUnsafe(slices.length * markBytes)
  const told: string[] = []
  let same = 0
  for (const [at, slice] of slices.entries()) {
    const mark = markOf(path, bits, from + at, bytes, slice)
    mark.copy(marks, at * markBytes, 0, markBytes)
    if (hasMark(known, mark)) same += slice.length
    else
      for (const { start, end, kind, size, modified } of slice)
        told.push(JSON.stringify([said(bytes, start, end), kind, size, modified] satisfies IndexedEntry))
  }
  const line = { folder, bits, from, marks: marks.toString('base64'), same } satisfies Omit<IndexedFolder, 'entries'>
  return `${JSON.stringify(line).slice(0, -1)},"entries":[${told.join(',')}]}\n`
}
