/** Walks a directory for an archive: every entry in order, small files read ahead, large ones as streams. */

import type { Readable } from 'node:stream'
import { ahead, inBatches } from '../concurrency.ts'
import { type FileStat, isDirectory, isFile, isLink } from './entries.ts'
import { type Looked, readFolder, readMany } from './folder-threads.ts'
import { joinPath, type Located, locate, type PartitionRoot } from './resolve.ts'
import { openRegular, streamFile } from './send.ts'

export type Walked = {
  /** Below the top, without a leading slash; bytes that are no UTF-8 as `%XX`. */
  name: string
  stat: FileStat
} & (
  | { kind: 'directory' }
  | { kind: 'symlink'; target: string }
  | { kind: 'small'; data: Buffer }
  | { kind: 'large'; open: () => Promise<Readable> }
  | { kind: 'unreadable'; reason: string }
)

/** Files up to this size are read whole, some ahead of those that are being written: at most 8 MiB in all. */
const smallBytesMax = 128 * 1024
const filesAtOnce = 16
const batchesAhead = 4

/**
 * A name as text that says its bytes: archives hold text, and two names must never become one. A percent sign is only escaped
 * where the name holds bytes that are no UTF-8.
 */
export const archiveName = (bytes: Buffer): string => {
  const text = bytes.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(bytes)) return text
  let out = ''
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at)
    if (length === 0 || bytes[at] === 0x25) {
      out += `%${bytes[at]!.toString(16).toUpperCase().padStart(2, '0')}`
      at++
    } else {
      out += bytes.toString('utf8', at, at + length)
      at += length
    }
  }
  return out
}
/** Bytes of the UTF-8 character that begins here; 0 when none does. */
const characterLength = (bytes: Buffer, at: number): number => {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    const part = bytes.subarray(at, at + length)
    const text = part.toString('utf8')
    if (!text.includes('\ufffd') && Buffer.from(text).equals(part)) return length
  }
  return 0
}

/** @returns undefined for what has no content: devices, FIFOs and sockets */
const walkedOf = (
  root: PartitionRoot,
  folder: Located,
  prefix: Buffer[],
  fileName: Buffer,
  { stat, content, error }: Looked,
): Walked | undefined => {
  const name = archiveName(joinPath([...prefix, fileName]).subarray(1))
  if (isDirectory(stat)) return { kind: 'directory', name, stat }
  if (!isFile(stat) && !isLink(stat)) return undefined
  if (error !== null) return { kind: 'unreadable', name, stat, reason: error }
  if (isLink(stat)) return { kind: 'symlink', name, stat, target: archiveName(content!) }
  if (content !== null) return { kind: 'small', name, stat, data: content }
  const located = [...folder.path, fileName]
  const open = async () => streamFile(await openRegular(await locate(root, located, false)), 0, Number(stat.size))
  return { kind: 'large', name, stat, open }
}

/** What is wanted below a folder, by name; `all` of what is there. */
type Wanted = Map<string, Wanted> | 'all'
const wantedOf = (paths: readonly (readonly Buffer[])[]): Wanted => {
  const wanted = new Map<string, Wanted>()
  for (const path of paths) {
    let at = wanted
    for (const [index, part] of path.entries()) {
      const name = part.toString('latin1')
      const below = at.get(name)
      if (below === 'all') break
      if (index === path.length - 1) at.set(name, 'all')
      else {
        const next = below ?? new Map<string, Wanted>()
        at.set(name, next)
        at = next
      }
    }
  }
  return wanted
}

type WalkOptions = {
  /** Paths below the top, as their parts; without them all. */
  only?: readonly (readonly Buffer[])[] | undefined
  /** Paths below the top that are left out, with all that is below them. */
  without?: readonly (readonly Buffer[])[]
  /** What stands before each name. */
  prefix: readonly Buffer[]
}
/** Depth-first, names in byte order. Symlinks are told, not followed. */
export async function* walkTree(
  root: PartitionRoot,
  top: Located,
  { only, without = [], prefix: first }: WalkOptions,
): AsyncGenerator<Walked> {
  const leftOut = new Set(without.map((path) => joinPath([...top.path, ...path]).toString('latin1')))
  async function* visit(folder: Located, prefix: Buffer[], wanted: Wanted): AsyncGenerator<Walked> {
    const { fd } = folder.handle
    const isWanted = (name: Buffer) =>
      (wanted === 'all' || wanted.has(name.toString('latin1'))) &&
      (leftOut.size === 0 || !leftOut.has(joinPath([...folder.path, name]).toString('latin1')))
    const names = (await readFolder(fd))
      .map(({ name }) => name)
      .filter(isWanted)
      .sort(Buffer.compare)
    const batches = inBatches(names, filesAtOnce)
    const readBatch = async (batch: Buffer[]) => {
      const looked = await readMany(fd, batch, smallBytesMax)
      return batch.map((name, at) => ({ name, found: walkedOf(root, folder, prefix, name, looked[at]!) }))
    }
    for await (const batch of ahead(batches, batchesAhead, readBatch))
      for (const { name, found } of batch) {
        if (!found) continue
        yield found
        if (found.kind !== 'directory') continue
        const child = await locate(root, [...folder.path, name], false)
        try {
          yield* visit(child, [...prefix, name], wanted === 'all' ? wanted : wanted.get(name.toString('latin1'))!)
        } finally {
          await child.handle.close()
        }
      }
  }

  try {
    yield* visit(top, [...first], only ? wantedOf(only) : 'all')
  } finally {
    await top.handle.close()
  }
}
