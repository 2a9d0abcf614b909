/** Lists a directory of a mount, plainly or with everything below it. */
import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import type { Entry } from '../../contract/api/restore.ts'
import { listingLimits } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { mapSome } from '../concurrency.ts'
import { followLink, nameText, toEntry } from './entries.ts'
import { below, type Located, locate, type PartitionRoot, unreadable } from './resolve.ts'
import { statMany } from './stat-threads.ts'

export type Page = { limit: number; offset: number }
export type Listed = { entries: Entry[]; totalCount: number; truncated: boolean }

type BufferDirent = Dirent<Buffer>
/** Symlinks that are followed at a time: each step is a round trip to the filesystem. */
const linksAtOnce = 16

export const readFolder = (fd: number): Promise<BufferDirent[]> =>
  readdir(`/proc/self/fd/${fd}`, { withFileTypes: true, encoding: 'buffer' }).catch((cause: unknown) => {
    throw unreadable(cause)
  })

const entryOf = async (root: PartitionRoot, folder: Located, name: Buffer): Promise<Entry> => {
  const stat = await lstat(below(folder.handle.fd, name), { bigint: true }).catch((cause: unknown) => {
    throw unreadable(cause)
  })
  return toEntry(root, folder.handle.fd, [...folder.path, name], stat)
}

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Directories first, then by name without case; the bytes of the name break ties, so that pages never overlap. */
export const listFolder = async (root: PartitionRoot, folder: Located, { limit, offset }: Page): Promise<Listed> => {
  if (!folder.stat.isDirectory()) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
  const rows = await mapSome(await readFolder(folder.handle.fd), linksAtOnce, (dirent) => {
    const row = (isFolder: boolean) => ({
      name: dirent.name,
      isFolder,
      sortKey: nameText(dirent.name).text.toLowerCase(),
    })
    if (!dirent.isSymbolicLink()) return row(dirent.isDirectory())
    return followLink(root, [...folder.path, dirent.name]).then((target) => row(target?.isDirectory() ?? false))
  })
  rows.sort(
    (a, b) => Number(b.isFolder) - Number(a.isFolder) || byText(a.sortKey, b.sortKey) || Buffer.compare(a.name, b.name),
  )
  const shown = rows.slice(offset, offset + limit)
  const stats = await statMany(
    folder.handle.fd,
    shown.map(({ name }) => name),
  )
  const known = shown.map(({ name }, at) => ({ path: [...folder.path, name], stat: stats[at]! }))
  return {
    entries: await mapSome(known, linksAtOnce, ({ path, stat }) => toEntry(root, folder.handle.fd, path, stat)),
    totalCount: rows.length,
    truncated: false,
  }
}

/** Depth-first by path, symlinks not followed; stops at the bounds of listingLimits and says so. */
export const listTree = async (root: PartitionRoot, top: Located, { limit, offset }: Page): Promise<Listed> => {
  if (!top.stat.isDirectory()) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
  const entries: Entry[] = []
  let counted = 0
  let truncated = false

  const walk = async (folder: Located, level: number): Promise<void> => {
    const names = (await readFolder(folder.handle.fd)).sort((a, b) => Buffer.compare(a.name, b.name))
    for (const dirent of names) {
      if (counted === listingLimits.walkEntries) {
        truncated = true
        return
      }
      if (counted >= offset && entries.length < limit) entries.push(await entryOf(root, folder, dirent.name))
      counted++
      if (!dirent.isDirectory()) continue
      if (level === listingLimits.walkLevels) {
        truncated = true
        continue
      }
      const child = await locate(root, [...folder.path, dirent.name], false)
      try {
        await walk(child, level + 1)
      } finally {
        await child.handle.close()
      }
    }
  }
  await walk(top, 1)
  return { entries, totalCount: counted, truncated }
}
