/** A mount as WebDAV names it: percent-encoded paths below the mount's own URL. */
import type { Partition } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { type Place, placeAt } from '../mount-tree.ts'
import { guestPathErrors } from '../use-mount.ts'

/** What a call about a path of the tree can answer: which volume is meant is said by the path. */
export const treeErrors = guestPathErrors.filter((code) => code !== 'PARTITION_NOT_FOUND')

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
export const placeOf = (partitions: readonly Partition[], below: string): Place => placeAt(partitions, decoded(below))
