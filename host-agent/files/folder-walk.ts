/** A thread's part of walking through a whole volume: some thousand entries at a time, in plain calls. */
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
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
const said = (bytes: Buffer): IndexedEntry[0] => {
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

/**
 * Paths are said as a whole: finding each entry by way of its open folder takes the kernel as long again as the entry itself. That is safe here as nowhere else: nothing
 * changes in the volume, and every part of such a path was seen to be a folder. What lies deeper than a path can say is left out: nobody could ask for it.
 */
export const walkSome = (take: FolderTasks['walk']['take']): FolderTasks['walk']['give'] => {
  const root = Buffer.from(readlinkSync(`/proc/self/fd/${take.fd}`))
  const waiting = splitNames(take.folders)
  let { names, from } = take
  let count = 0
  const lines: IndexedFolder[] = []
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const prefix = Buffer.concat([root, folder, slash])
    if (names.length === 0) names = joinNames(unlessDamaged(() => readdirSync(prefix, { encoding: 'buffer' })) ?? [])
    const { parts, next } = someNames(names, from, entriesAtOnce)
    const isWhole = next === names.length
    if (isWhole) names = new Uint8Array()
    else waiting.push(folder)
    from = isWhole ? 0 : next

    const entries: IndexedEntry[] = []
    const found: Buffer[] = []
    for (const name of parts) {
      const stat = unlessDamaged(() => lstatSync(Buffer.concat([prefix, name]), { bigint: true }))
      if (!stat) continue
      const size = stat.isFile() ? safeSize(stat.size) : 0
      entries.push([said(name), kindOf(stat), size, microseconds(stat.mtimeNs)])
      if (stat.isDirectory() && folder.length + name.length < pathBytesMax)
        found.push(Buffer.concat([folder, slash, name]))
    }
    lines.push({ folder: said(folder), entries, isWhole })
    // Below the folder that has been begun, which stays the last.
    waiting.splice(isWhole ? waiting.length : -1, 0, ...found)
    count += parts.length + 1
    if (count >= entriesAtOnce) break
  }
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
  return { lines: new Uint8Array(Buffer.from(text)), folders: joinNames(waiting), names, from }
}
