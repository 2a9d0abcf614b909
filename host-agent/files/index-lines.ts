/** Every entry of a volume, as lines of JSON while it is being walked. Memory stays flat: of a folder only the names that are still to come are kept. */
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { IndexedEntry } from '../../contract/agent.ts'
import { type FileStat, isDirectory, isFile, isLink, nameText, safeSize } from './entries.ts'
import { readFolder, statMany } from './folder-threads.ts'
import { joinPath, locate, type PartitionRoot } from './resolve.ts'

/** Written at a time, in characters. */
const chunkLength = 64 * 1024
/** Looked at in one go. */
const statsAtOnce = 1000
/** Deeper than any path that can be asked for. */
const levelsMax = 2048

const kindOf = (stat: FileStat): IndexedEntry[1] =>
  isFile(stat) ? 'f' : isDirectory(stat) ? 'd' : isLink(stat) ? 'l' : 'o'
const nanosecondsPerMicrosecond = 1000n

const entryOf = (path: readonly Buffer[], stat: FileStat): IndexedEntry => {
  const bytes = joinPath(path)
  const { text, exact } = nameText(bytes)
  const size = isFile(stat) ? safeSize(stat.size) : 0
  return [
    exact ? text : { b64: bytes.toString('base64') },
    kindOf(stat),
    size,
    Number(stat.mtimeNs / nanosecondsPerMicrosecond),
  ]
}

/** Folders that can not be read are left out, and so is all that is below them: what is damaged must not keep the rest from being found. */
async function* linesOf(root: PartitionRoot, signal: AbortSignal): AsyncGenerator<string> {
  let lines = ''
  const folders: Buffer[][] = [[]]
  for (let path = folders.pop(); path !== undefined; path = folders.pop()) {
    signal.throwIfAborted()
    const folder = await locate(root, path, false).catch(() => undefined)
    if (!folder) continue
    try {
      const names = (await readFolder(folder.handle.fd).catch(() => [])).map(({ name }) => name)
      for (let from = 0; from < names.length; from += statsAtOnce) {
        const some = names.slice(from, from + statsAtOnce)
        const stats = await statMany(folder.handle.fd, some).catch(() => [])
        for (const [at, stat] of stats.entries()) {
          const whole = [...path, some[at]!]
          lines += `${JSON.stringify(entryOf(whole, stat))}\n`
          if (isDirectory(stat) && whole.length < levelsMax) folders.push(whole)
          if (lines.length < chunkLength) continue
          yield lines
          lines = ''
        }
      }
    } finally {
      await folder.handle.close()
    }
  }
  if (lines !== '') yield lines
}

export const writeIndexLines = (root: PartitionRoot, target: Writable, signal: AbortSignal): Promise<void> =>
  pipeline(linesOf(root, signal), target, { signal, end: false })
