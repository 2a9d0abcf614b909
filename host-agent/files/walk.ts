/** Walks a directory for an archive: every entry in order, small files read ahead, large ones as streams. */

import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import { lstat, open, readlink } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { readFolder } from './list.ts'
import { below, joinPath, type Located, locate, type PartitionRoot } from './resolve.ts'
import { openRegular, streamFile } from './send.ts'

export type Walked = {
  /** Below the top, without a leading slash; bytes that are no UTF-8 as `%XX`. */
  name: string
  stat: BigIntStats
} & (
  | { kind: 'directory' }
  | { kind: 'symlink'; target: string }
  | { kind: 'small'; data: Buffer }
  | { kind: 'large'; open: () => Promise<Readable> }
  | { kind: 'unreadable'; reason: string }
)

/** Files up to this size are read whole, some ahead of the one that is being written. */
const smallBytesMax = 128 * 1024
const readAhead = 32

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

const readSmall = async (fd: number, name: Buffer, size: number): Promise<Buffer> => {
  const file = await open(below(fd, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const data = Buffer.allocUnsafe(size)
    let filled = 0
    while (filled < size) {
      const { bytesRead } = await file.read(data, filled, size - filled, filled)
      if (bytesRead === 0) throw new Error('the file ended early')
      filled += bytesRead
    }
    return data
  } finally {
    await file.close()
  }
}

const look = async (
  root: PartitionRoot,
  folder: Located,
  name: Buffer,
  prefix: Buffer[],
): Promise<Walked | undefined> => {
  const path = archiveName(joinPath([...prefix, name]).subarray(1))
  const stat = await lstat(below(folder.handle.fd, name), { bigint: true })
  if (stat.isDirectory()) return { kind: 'directory', name: path, stat }
  if (stat.isSymbolicLink())
    return {
      kind: 'symlink',
      name: path,
      stat,
      target: archiveName(await readlink(below(folder.handle.fd, name), { encoding: 'buffer' })),
    }
  // Devices, FIFOs and sockets are no content.
  if (!stat.isFile()) return undefined
  try {
    if (stat.size <= BigInt(smallBytesMax))
      return { kind: 'small', name: path, stat, data: await readSmall(folder.handle.fd, name, Number(stat.size)) }
    const located = [...folder.path, name]
    return {
      kind: 'large',
      name: path,
      stat,
      open: async () => streamFile(await openRegular(await locate(root, located, false)), 0, Number(stat.size)),
    }
  } catch (error) {
    return { kind: 'unreadable', name: path, stat, reason: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}

/** Depth-first, names in byte order. Symlinks are told, not followed. */
export async function* walkTree(root: PartitionRoot, top: Located): AsyncGenerator<Walked> {
  async function* visit(folder: Located, prefix: Buffer[]): AsyncGenerator<Walked> {
    const dirents = (await readFolder(folder.handle.fd)).sort((a, b) => Buffer.compare(a.name, b.name))
    const queue: { name: Buffer; promise: Promise<Walked | undefined> }[] = []
    let next = 0
    const fill = () => {
      while (queue.length < readAhead && next < dirents.length) {
        const { name } = dirents[next++]!
        const promise = look(root, folder, name, prefix)
        // Looked at in its turn; until then a rejection is not an unhandled one.
        promise.catch(() => undefined)
        queue.push({ name, promise })
      }
    }
    fill()
    try {
      for (let slot = queue.shift(); slot !== undefined; slot = queue.shift()) {
        const found = await slot.promise
        fill()
        if (!found) continue
        yield found
        if (found.kind !== 'directory') continue
        const child = await locate(root, [...folder.path, slot.name], false)
        try {
          yield* visit(child, [...prefix, slot.name])
        } finally {
          await child.handle.close()
        }
      }
    } finally {
      // Reads that were begun use the folder's handle, which the caller closes next.
      await Promise.allSettled(queue.map(({ promise }) => promise))
    }
  }

  try {
    yield* visit(top, [])
  } finally {
    await top.handle.close()
  }
}
