/** From what the filesystem says to what the contract calls an Entry. */
import { type BigIntStats, constants } from 'node:fs'
import { readlink } from 'node:fs/promises'
import type { FileInfo } from '../../contract/agent.ts'
import type { Entry } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { below, joinPath, type Located, locate, type PartitionRoot } from './resolve.ts'

const billion = 1_000_000_000n
/** Times of a filesystem in full precision, as RFC 3339. Before year 0 and past 9999 there is no such form: the nearest is given. */
export const isoTime = (nanoseconds: bigint): string => {
  const floor = nanoseconds / billion - (nanoseconds % billion < 0n ? 1n : 0n)
  const fraction = nanoseconds - floor * billion
  const seconds = floor < -62135596800n ? -62135596800n : floor > 253402300799n ? 253402300799n : floor
  const base = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  const digits = fraction.toString().padStart(9, '0').replace(/0+$/, '')
  return digits === '' ? `${base}Z` : `${base}.${digits}Z`
}

/** Exact up to 2^53-1, which JSON numbers can carry; a larger size is given as that. */
export const safeSize = (size: bigint) =>
  Number(size > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : size)

/** The text of a name, and its true bytes where that text does not say them. */
export const nameText = (bytes: Buffer): { text: string; exact: boolean } => {
  const text = bytes.toString('utf8')
  // What is no UTF-8 becomes this character; a name may have it by itself, too.
  return { text, exact: !text.includes('\ufffd') || Buffer.from(text, 'utf8').equals(bytes) }
}

/** What of a file's stat a listing or an archive shows. */
export type FileStat = Pick<BigIntStats, 'mode' | 'size' | 'mtimeNs' | 'uid' | 'gid'>
const kindOf = ({ mode }: FileStat) => Number(mode) & constants.S_IFMT
export const isLink = (stat: FileStat) => kindOf(stat) === constants.S_IFLNK
export const isDirectory = (stat: FileStat) => kindOf(stat) === constants.S_IFDIR
export const isFile = (stat: FileStat) => kindOf(stat) === constants.S_IFREG
const isSpecial = (stat: FileStat) => !isDirectory(stat) && !isFile(stat) && !isLink(stat)

/** Symlinks that are followed at a time: each step is a round trip to the filesystem. */
export const linksAtOnce = 16

/** What a symlink leads to; undefined when it dangles or leaves the partition. */
export const followLink = async (root: PartitionRoot, path: readonly Buffer[]): Promise<BigIntStats | undefined> => {
  try {
    const target = await locate(root, path, true)
    await target.handle.close()
    return target.stat
  } catch (error) {
    if (error instanceof HubError) return undefined
    throw error
  }
}

/** @param target what the name leads to; undefined when that dangles */
const describe = (
  path: readonly Buffer[],
  stat: FileStat,
  target: FileStat | undefined,
  linkText: Buffer | undefined,
): Entry => {
  const bytes = joinPath(path)
  const { text, exact } = nameText(bytes)
  return {
    name: path.length === 0 ? '/' : nameText(path.at(-1)!).text,
    path: text,
    type: target && isDirectory(target) ? 'directory' : 'file',
    size: target && isFile(target) ? safeSize(target.size) : 0,
    mode: (Number(stat.mode) & 0o7777).toString(8).padStart(4, '0'),
    modified_time: isoTime(stat.mtimeNs),
    is_symlink: isLink(stat),
    symlink_target: linkText ? nameText(linkText).text : null,
    path_b64: exact ? null : bytes.toString('base64'),
    special: target ? isSpecial(target) : false,
  }
}

/** One row of a listing; a promise of it only where the filesystem must be asked. @param parentFd the open folder it lies in */
export const toEntry = (
  root: PartitionRoot,
  parentFd: number,
  path: readonly Buffer[],
  stat: FileStat,
): Entry | Promise<Entry> => {
  if (!isLink(stat)) return describe(path, stat, stat, undefined)
  return Promise.all([followLink(root, path), readlink(below(parentFd, path.at(-1)!), { encoding: 'buffer' })]).then(
    ([target, linkText]) => describe(path, stat, target, linkText),
  )
}

/** Everything about one file: its own entry, and what a download of it (its target, for a symlink) needs. */
export const toFileInfo = async (
  root: PartitionRoot,
  own: Located,
  parentFd: number,
  { partition, streams }: Pick<FileInfo, 'partition' | 'streams'>,
): Promise<FileInfo> => {
  const target = own.stat.isSymbolicLink() ? ((await followLink(root, own.path)) ?? own.stat) : own.stat
  const seconds = target.mtimeNs / billion
  return {
    ...(await toEntry(root, parentFd, own.path, own.stat)),
    accessed_time: isoTime(own.stat.atimeNs),
    created_time: own.stat.birthtimeNs > 0n ? isoTime(own.stat.birthtimeNs) : null,
    uid: Number(own.stat.uid),
    gid: Number(own.stat.gid),
    streams,
    partition,
    etag: `"${target.ino.toString(36)}-${target.size.toString(36)}-${target.mtimeNs.toString(36)}"`,
    modified_http: new Date(Math.min(Math.max(Number(seconds), 0), 253402300799) * 1000).toUTCString(),
  }
}
