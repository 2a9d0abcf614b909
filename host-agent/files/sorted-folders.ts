/**
 * The names of folders in the order that a listing shows them, kept for the next page: nothing changes in what is mounted, and
 * reading and sorting a folder takes longer than all else that a page needs.
 */
import { LRUCache } from 'lru-cache'
import { mapSome } from '../concurrency.ts'
import { followLink, linksAtOnce, nameText } from './entries.ts'
import { readFolder } from './folder-threads.ts'
import { joinPath, type Located, type PartitionRoot } from './resolve.ts'

/** In all folders of a volume together; a hundred bytes each. */
const namesMax = 200_000

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Directories first, then by name without case; the bytes of the name break ties, so that pages never overlap. */
const readSorted = async (root: PartitionRoot, folder: Located): Promise<Buffer[]> => {
  const rows = await mapSome(await readFolder(folder.handle.fd), linksAtOnce, ({ name, isDirectory, isSymlink }) => {
    const row = (isFolder: boolean) => ({ name, isFolder, sortKey: nameText(name).text.toLowerCase() })
    if (!isSymlink) return row(isDirectory)
    return followLink(root, [...folder.path, name]).then((target) => row(target?.isDirectory() ?? false))
  })
  rows.sort(
    (a, b) => Number(b.isFolder) - Number(a.isFolder) || byText(a.sortKey, b.sortKey) || Buffer.compare(a.name, b.name),
  )
  return rows.map(({ name }) => name)
}

export class SortedFolders {
  readonly #known = new LRUCache<string, Buffer[]>({
    maxSize: namesMax,
    // An empty folder takes a place, too.
    sizeCalculation: (names) => names.length + 1,
  })

  /** @throws SERVICE_UNAVAILABLE */
  async names(root: PartitionRoot, folder: Located): Promise<readonly Buffer[]> {
    const key = joinPath(folder.path).toString('latin1')
    const known = this.#known.get(key)
    if (known) return known
    const names = await readSorted(root, folder)
    this.#known.set(key, names)
    return names
  }
}
