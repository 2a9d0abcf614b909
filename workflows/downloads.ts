/** What the two downloads share: whose token it is, content types, conditions and ranges (contract section 10.2). */
import { lookup } from 'mime-types'
import type { FileInfo, GuestPath } from '../contract/agent.ts'
import { type ArchiveFormat, archiveFormats, onlyNamesMax } from '../contract/api/restore.ts'
import { HubError } from '../contract/errors.ts'
import type { Caller, DownloadGrant } from '../runtime/function.ts'

/** From the name; null when the name says nothing. */
export const mimeType = (name: string): string | null => lookup(name) || null

/** The contract's form of Content-Disposition: an ASCII name for old clients, the true one for the others (RFC 6266). */
export const attachment = (name: string): string => {
  const safe = name.replace(/[\u0000-\u001f\u007f/\\]/g, '_').toWellFormed() || 'download'
  const ascii = safe.replace(/[^\x20-\x7e]/g, '_').replace(/"/g, "'")
  const encoded = encodeURIComponent(safe).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}

export const archiveTypes: Record<ArchiveFormat, string> = {
  zip: 'application/zip',
  'tar.gz': 'application/gzip',
  'tar.zst': 'application/zstd',
}

/** @throws UNSUPPORTED_FORMAT */
export const archiveFormat = (text: string): ArchiveFormat => {
  const format = archiveFormats.find((known) => known === text)
  if (!format) throw new HubError('UNSUPPORTED_FORMAT', 'The archive format must be zip, tar.gz or tar.zst')
  return format
}

/** Names of a folder's entries that alone are wanted, for the agent. @throws PATH_INVALID */
export const onlyNames = (text: string | undefined): string[] | undefined => {
  if (text === undefined) return undefined
  const names = text.split(',').map((one) => Buffer.from(one, 'base64url'))
  const isName = (name: Buffer) =>
    name.length > 0 &&
    name.length <= 255 &&
    !name.includes(0) &&
    !name.includes(0x2f) &&
    !/^\.{1,2}$/.test(name.toString())
  if (names.length > onlyNamesMax || !names.every(isName))
    throw new HubError('PATH_INVALID', 'These are not the names of entries of a folder', {
      details: `at most ${onlyNamesMax}, of 1 to 255 bytes, without a slash`,
    })
  return names.map((name) => name.toString('base64'))
}

/**
 * A download token is good for one path of one mount; other callers need the role operator, which the map has checked.
 * @throws TOKEN_SCOPE
 */
export const checkGrant = (
  caller: Caller,
  wanted: Omit<DownloadGrant, 'partition' | 'pathB64'> & { path: GuestPath },
): GuestPath => {
  if (caller.kind !== 'download') return wanted.path
  const { grant } = caller
  const fits =
    grant.mountId === wanted.mountId &&
    grant.kind === wanted.kind &&
    grant.format === wanted.format &&
    grant.pathB64 === wanted.path.path_b64 &&
    (wanted.path.partition === undefined || wanted.path.partition === grant.partition)
  if (!fits) throw new HubError('TOKEN_SCOPE', 'This link is good for another download')
  return { partition: grant.partition, path_b64: grant.pathB64 }
}

export type Span = { start: number; length: number }
const etags = (header: string) => header.split(',').map((one) => one.trim().replace(/^W\//, ''))

/** Whether the client has the file already (If-None-Match first, RFC 9110 section 13.2.2). */
export const isUnchanged = (headers: Headers, { etag, modified_http }: FileInfo): boolean => {
  const noneMatch = headers.get('if-none-match')
  if (noneMatch !== null) return noneMatch.trim() === '*' || etags(noneMatch).includes(etag)
  const since = Date.parse(headers.get('if-modified-since') ?? '')
  return !Number.isNaN(since) && Date.parse(modified_http) <= since
}

/**
 * The one range that is asked for; undefined = the whole file, which several ranges and a changed file get too.
 * @throws RANGE_NOT_SATISFIABLE
 */
export const wantedSpan = (headers: Headers, { etag, modified_http, size }: FileInfo): Span | undefined => {
  const range = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)$/i.exec(headers.get('range')?.trim() ?? '')
  if (!range || (range[1] === '' && range[2] === '')) return undefined
  const condition = headers.get('if-range')
  if (condition !== null && condition !== etag && !(Date.parse(condition) === Date.parse(modified_http)))
    return undefined
  const last = range[2] === '' ? size - 1 : Number(range[2])
  if (range[1] !== '' && range[2] !== '' && last < Number(range[1])) return undefined
  const start = range[1] === '' ? Math.max(0, size - last) : Number(range[1])
  const end = range[1] === '' ? size - 1 : Math.min(last, size - 1)
  if (start >= size || end < start)
    throw new HubError('RANGE_NOT_SATISFIABLE', 'The range lies outside the file', {
      headers: { 'Content-Range': `bytes */${size}` },
    })
  return { start, length: end - start + 1 }
}
