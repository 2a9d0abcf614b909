/** A thread's part of walking through a whole volume: some thousand entries at a time, in plain calls. */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import type { IndexedEntry } from '../../contract/agent.ts'
import {
  type Hashed,
  indexedFolder,
  nameHash,
  type Said,
  sliceBits,
  sliceOf,
  stored,
} from '../../contract/index-slices.ts'
import { nameText, safeSize } from './entries.ts'
import { type FolderTasks, joinNames, someNames, splitNames } from './folder-tasks.ts'
import { pathBytesMax } from './resolve.ts'

/** Entries of one answer, about. */
const entriesAtOnce = 5_000
const slash = Buffer.from('/')
/** Whole ones, of times before 1970 as well. */
const microseconds = (nanoseconds: bigint): number =>
  Number(nanoseconds >= 0n ? nanoseconds / 1000n : (nanoseconds - 999n) / 1000n)

const kindOf = (stat: BigIntStats): IndexedEntry[1] =>
  stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : 'o'
const said = (bytes: Buffer): Said => {
  const { text, exact } = nameText(bytes)
  return exact ? text : { b64: bytes.toString('base64') }
}
/** Damage to one folder or file must not keep the rest from being found. */
const unlessDamaged = <T>(work: () => T): T | undefined => {
  try {
    return work()
  } catch {
    return undefined
  }
}

/** A name as it is said, and its hash. */
type Name = { bytes: Buffer; said: Said; hash: string }
const hashed = (bytes: Buffer): Name => {
  const name = said(bytes)
  return { bytes, said: name, hash: nameHash(stored(name)) }
}
/** Some names of a folder: all that are in its slices `from` to `to`. */
type Part = { names: readonly Name[]; bits: number; from: number; to: number }
const all = (names: readonly Name[], bits: number): Part => ({ names, bits, from: 0, to: 2 ** bits })

/** The next names of a folder that is told in parts, up to the end of a slice. @param names in the order of their hashes @returns where the rest begins, too */
const nextPart = (names: Uint8Array, start: number, bits: number, from: number): { part: Part; next: number } => {
  const taken: Name[] = []
  let next = start
  let to = from
  while (next < names.length) {
    const { parts, next: behind } = someNames(names, next, 1)
    const name = hashed(parts[0]!)
    to = sliceOf(name.hash, bits)
    if (taken.length >= entriesAtOnce && to !== sliceOf(taken.at(-1)!.hash, bits))
      return { part: { names: taken, bits, from, to }, next }
    taken.push(name)
    next = behind
  }
  return { part: { names: taken, bits, from, to: 2 ** bits }, next }
}

/**
 * Paths are said as a whole: finding each entry by way of its open folder takes the kernel as long again as the entry itself. That is safe here as nowhere else: nothing
 * changes in the volume, and every part of such a path was seen to be a folder. What lies deeper than a path can say is left out: nobody could ask for it.
 */
export const walkSome = (take: FolderTasks['walk']['take']): FolderTasks['walk']['give'] => {
  const root = Buffer.from(readlinkSync(`/proc/self/fd/${take.fd}`))
  const waiting = splitNames(take.folders)
  const lines: string[] = []
  let begun = { names: take.names, from: take.from, bits: take.bits, slice: take.slice }
  let count = 0
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const prefix = Buffer.concat([root, folder, slash])
    let part: Part
    if (begun.names.length > 0) {
      const some = nextPart(begun.names, begun.from, begun.bits, begun.slice)
      part = some.part
      begun = { ...begun, from: some.next, slice: part.to }
    } else {
      const names = (unlessDamaged(() => readdirSync(prefix, { encoding: 'buffer' })) ?? []).map(hashed)
      const bits = sliceBits(names.length)
      part = all(names, bits)
      if (names.length > entriesAtOnce) {
        names.sort((a, b) => (a.hash < b.hash ? -1 : 1))
        begun = { names: joinNames(names.map(({ bytes }) => bytes)), from: 0, bits, slice: 0 }
        waiting.push(folder)
        continue
      }
    }
    const isWhole = part.to === 2 ** part.bits
    if (isWhole) begun = { names: new Uint8Array(), from: 0, bits: 0, slice: 0 }
    else waiting.push(folder)

    const entries: Hashed[] = []
    const found: Buffer[] = []
    for (const { bytes, said, hash } of part.names) {
      const stat = unlessDamaged(() => lstatSync(Buffer.concat([prefix, bytes]), { bigint: true }))
      if (!stat) continue
      const size = stat.isFile() ? safeSize(stat.size) : 0
      entries.push({ hash, entry: [said, kindOf(stat), size, microseconds(stat.mtimeNs)] })
      if (stat.isDirectory() && folder.length + bytes.length < pathBytesMax)
        found.push(Buffer.concat([folder, slash, bytes]))
    }
    lines.push(indexedFolder(said(folder), entries, part, take.known))
    // Below the folder that has been begun, which stays the last.
    waiting.splice(isWhole ? waiting.length : -1, 0, ...found)
    count += part.names.length + 1
    if (count >= entriesAtOnce) break
  }
  return { lines: new Uint8Array(Buffer.from(lines.join(''))), folders: joinNames(waiting), ...begun }
}
