import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf, stored } from '../../contract/index-slices.ts'

/** In parts, as a folder of very many entries is told: in more of them when it grows. */
const bitsOf = (entries: number) => (entries < 3 ? 0 : entries < 6 ? 1 : 2)

/** Fingerprints of the fake's own: entries as they are, each with its folder in a line. */
const lineOf = (folder: string, entry: IndexedEntry) => `${JSON.stringify([folder, entry])}\n`

/** What an index tells of a folder: of each part that has the names that it had, only what else has changed. @param known fingerprints of an earlier walk */
export const toldFolders = (folder: string, entries: readonly IndexedEntry[], known: Buffer): IndexedFolder[] => {
  const before = known
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as [string, IndexedEntry])
    .filter(([of]) => of === folder)
    .map(([, entry]) => entry)
  const bits = bitsOf(entries.length)
  const isAlike = known.length > 0 && bitsOf(before.length) === bits
  return Array.from({ length: 2 ** bits }, (_, from) => {
    const isOwn = ([name]: IndexedEntry) => sliceOf(nameHash(stored(name)), bits) === from
    const [own, old] = [entries.filter(isOwn), before.filter(isOwn)]
    const names = (of: IndexedEntry[]) => JSON.stringify(of.map(([name]) => stored(name)).sort())
    const isAsBefore = (entry: IndexedEntry) => old.some((one) => JSON.stringify(one) === JSON.stringify(entry))
    const told = isAlike && names(own) === names(old) ? own.filter((entry) => !isAsBefore(entry)) : undefined
    const prints = Buffer.from(own.map((entry) => lineOf(folder, entry)).join(''))
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
      fingerprints:
        told?.length === 0
          ? { from: known.indexOf(prints), bytes: prints.length, over: [] }
          : prints.toString('base64'),
    }
  })
}
