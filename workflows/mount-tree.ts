/** A mount as others show it: the one volume that is open, or, where there are several, a folder for each. */
import type { GuestPath } from '../contract/agent.ts'
import type { Entry, Partition } from '../contract/api/restore.ts'
import { HubError } from '../contract/errors.ts'
import { guestPath } from './guest-path.ts'

/** Of a volume, where there are several. */
type Folder = { name: string; label: string; partition: number }
export type Place =
  /** The folder of all volumes. */
  { kind: 'volumes'; folders: Folder[] } | { kind: 'file'; path: GuestPath; bytes: Buffer }

const folderOf = ({ number, name, label, kind }: Partition): Folder => ({
  name: kind === 'guest' ? 'guest' : `partition-${number}`,
  label: label ? `${name} (${label})` : name,
  partition: number,
})

/** @param path within the tree, absolute, its bytes @throws PATH_INVALID, FILE_NOT_FOUND */
export const placeAt = (partitions: readonly Partition[], bytes: Buffer): Place => {
  const folders = partitions.filter(({ mounted }) => mounted).map(folderOf)
  if (folders.length === 1) return fileAt(folders[0]!.partition, bytes, bytes)
  if (bytes.equals(Buffer.from('/'))) return { kind: 'volumes', folders }
  const end = bytes.indexOf('/', 1)
  const first = bytes.toString('utf8', 1, end === -1 ? bytes.length : end)
  const folder = folders.find(({ name }) => name === first)
  if (!folder) throw new HubError('FILE_NOT_FOUND', 'There is no such file or folder')
  return fileAt(folder.partition, end === -1 ? Buffer.from('/') : bytes.subarray(end), bytes)
}

const fileAt = (partition: number, path: Buffer, bytes: Buffer): Place => ({
  kind: 'file',
  path: guestPath({ path_b64: path.toString('base64'), partition }),
  bytes,
})

/** What of a folder's entries can be opened: no devices and pipes. */
export const isShown = ({ special }: Entry) => !special
export const nameBytes = ({ path, path_b64 }: Pick<Entry, 'path' | 'path_b64'>): Buffer => {
  const bytes = path_b64 === null ? Buffer.from(path) : Buffer.from(path_b64, 'base64')
  return bytes.subarray(bytes.lastIndexOf(0x2f) + 1)
}
