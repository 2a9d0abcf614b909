import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf, stored } from '../../contract/index-slices.ts'

/** In parts, as a folder of very many entries is told: in more of them when it grows. */
const bitsOf = (entries: number) => (entries < 3 ? 0 : entries < 6 ? 1 : 2)

/** What an index tells of a folder: of each part that has the names that it had, only what else has changed. @param before what an earlier walk saw in it */
export const toldFolders = (
  folder: string,
  entries: readonly IndexedEntry[],
  before: readonly IndexedEntry[] = [],
): IndexedFolder[] => {
  const bits = bitsOf(entries.length)
  const isAlike = before.length > 0 && bitsOf(before.length) === bits
  return Array.from({ length: 2 ** bits }, (_, from) => {
    const isOwn = ([name]: IndexedEntry) => sliceOf(nameHash(stored(name)), bits) === from
    const [own, old] = [entries.filter(isOwn), before.filter(isOwn)]
    const names = (of: readonly IndexedEntry[]) => JSON.stringify(of.map(([name]) => stored(name)).sort())
    const isAsBefore = (entry: IndexedEntry) => old.some((one) => JSON.stringify(one) === JSON.stringify(entry))
    const told = isAlike && names(own) === names(old) ? own.filter((entry) => !isAsBefore(entry)) : undefined
    // As where the names of a folder have not been read.
    const isUnnamed = ([name]: IndexedEntry) => told !== undefined && prefixOf(nameHash(stored(name))) % 2 === 0
    const unnamed = (told ?? own).filter(isUnnamed)
    return {
      folder,
      bits,
      from,
      to: from + 1,
      same: told ? own.length - told.length : null,
      entries: (told ?? own).filter((entry) => !isUnnamed(entry)),
      unnamed: unnamed.map(([name, ...rest]) => [prefixOf(nameHash(stored(name))), ...rest]),
    }
  })
}
