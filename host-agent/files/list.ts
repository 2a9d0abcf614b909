/** Lists a directory of a mount, plainly or with everything below it. */
import type { Entry } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { listingLimits } from '../../contract/listing-limits.ts'
import { mapSome } from '../concurrency.ts'
import { type FileStat, linksAtOnce, toEntry } from './entries.ts'
import { readFolder, statMany } from './folder-threads.ts'
import { type Located, locate, type PartitionRoot } from './resolve.ts'
import type { SortedFolders } from './sorted-folders.ts'

export type Page = { limit: number; offset: number }
export type Listed = { entries: Entry[]; totalCount: number; truncated: boolean }

/** Files that a tree's listing looks at in one go. */
const statsAtOnce = 256

/** In the order of SortedFolders. */
export const listFolder = async (
  root: PartitionRoot,
  sorted: SortedFolders,
  folder: Located,
  { limit, offset }: Page,
): Promise<Listed> => {
  if (!folder.stat.isDirectory()) throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
  const { fd } = folder.handle
  const names = await sorted.names(root, folder)
  const shown = names.slice(offset, offset + limit)
  const stats = await statMany(fd, shown)
  const known = shown.map((name, at) => ({ path: [...folder.path, name], stat: stats[at]! }))
  return {
    entries: await mapSome(known, linksAtOnce, ({ path, stat }) => toEntry(root, fd, path, stat)),
    totalCount: names.length,
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
    const { fd } = folder.handle
    const named = (await readFolder(fd)).sort((a, b) => Buffer.compare(a.name, b.name))
    const names = named.map(({ name }) => name)
    /** Of the names from `from` on; as many as fit at once. */
    let [from, stats] = [0, [] as FileStat[]]
    const entryAt = async (at: number): Promise<Entry> => {
      if (at >= from + stats.length) {
        stats = await statMany(fd, names.slice(at, at + statsAtOnce))
        from = at
      }
      return toEntry(root, fd, [...folder.path, names[at]!], stats[at - from]!)
    }
    for (const [at, { name, isDirectory }] of named.entries()) {
      if (counted === listingLimits.walkEntries) {
        truncated = true
        return
      }
      if (counted >= offset && entries.length < limit) entries.push(await entryAt(at))
      counted++
      if (!isDirectory) continue
      if (level === listingLimits.walkLevels) {
        truncated = true
        continue
      }
      const child = await locate(root, [...folder.path, name], false)
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
