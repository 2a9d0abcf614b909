/** Names of many folders at once, with their kinds and inodes: find(1) tells them without looking at one of the files, and Node has no call for it. */
import { existsSync, readdirSync } from 'node:fs'
import { outputNow } from '../run-tool.ts'
import { Names } from './names.ts'

const find = '/usr/bin/find'
/** Of what it says of some folders; one with more names is read in the plain way. */
const outputBytesMax = 32 * 1024 ** 2
/** What a record begins with that says which folder follows. */
const folderMark = 0x2f
/** Tells a folder itself from what is in it: no entry has that name. */
const itself = '/.'

/** One by itself. @param path absolute @returns no names for one that can not be read */
export const readPlainFolder = (path: Buffer): Names => {
  try {
    return Names.plain(readdirSync(path, { encoding: 'buffer' }))
  } catch {
    return new Names()
  }
}

/** @param paths absolute @returns the names of each, of one that can not be read none, or those that could be; undefined when they can not be asked for at once, or are too many */
export const readFolders = (paths: readonly Buffer[]): Names[] | undefined => {
  const texts = paths.map((path) => path.toString('utf8'))
  // Arguments of a program are text in Node: other bytes would be changed.
  if (!existsSync(find) || texts.some((text, at) => !Buffer.from(text).equals(paths[at]!))) return undefined
  const expression = ['-maxdepth', '1', '(', '-name', '.', '-printf', '%p\\0', '-o', '-printf', '%y%i %f\\0', ')']
  const records = outputNow(find, [...texts.map((text) => `${text}${itself}`), ...expression], outputBytesMax)
  return records && byFolder(paths, records)
}

const byFolder = (paths: readonly Buffer[], records: Buffer): Names[] => {
  const found = new Map<string, Names>()
  for (let at = 0; at < records.length; ) {
    const from = records.indexOf(0, at) + 1
    const path = records.toString('latin1', at, from - 1 - itself.length)
    at = from
    while (at < records.length && records[at] !== folderMark) at = records.indexOf(0, at) + 1
    found.set(path, new Names(records, from, at))
  }
  return paths.map((path) => found.get(path.toString('latin1')) ?? new Names())
}
