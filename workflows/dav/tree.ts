/** A mount as WebDAV shows it: the one volume that is open, or, where there are several, a folder for each. */
import type { GuestPath } from '../../contract/agent.ts'
import type { Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { guestPath } from '../guest-path.ts'
import { guestPathErrors } from '../use-mount.ts'

/** What a call about a path of the tree can answer: which volume is meant is said by the path. */
export const treeErrors = guestPathErrors.filter((code) => code !== 'PARTITION_NOT_FOUND')

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

/** The bytes that a path says: names of a guest need not be UTF-8. @throws PATH_INVALID */
const decoded = (text: string): Buffer => {
  const parts = text.split(/(%[0-9a-fA-F]{2})/)
  if (parts.some((part, at) => at % 2 === 0 && part.includes('%')))
    throw new HubError('PATH_INVALID', 'The path is not percent-encoded')
  return Buffer.concat(parts.map((part, at) => (at % 2 === 0 ? Buffer.from(part) : Buffer.from(part.slice(1), 'hex'))))
}
export const encoded = (bytes: Buffer): string =>
  Array.from(bytes, (byte) =>
    /[A-Za-z0-9\-._~/]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('')

/** Where the mount's tree begins in a URL of it, without a slash at the end. @param url of the request */
export const treeOf = (url: string, mountId: string): { base: string; below: string } => {
  const { pathname } = new URL(url)
  const base = `/api/v1/restore/${mountId}/dav`
  return { base, below: pathname.slice(base.length).replace(/\/+$/, '') || '/' }
}

/** @param below path within the tree, percent-encoded @throws PATH_INVALID, FILE_NOT_FOUND */
export const placeOf = (partitions: readonly Partition[], below: string): Place => {
  const folders = partitions.filter(({ mounted }) => mounted).map(folderOf)
  const bytes = decoded(below)
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
