/** What a request means by `path`, `path_b64` and `partition` (contract section 10.1). */
import type { GuestPath } from '../contract/agent.ts'
import { HubError } from '../contract/errors.ts'

const pathBytesMax = 4096
const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/

type Said = { path?: string | undefined; path_b64?: string | undefined; partition?: number | undefined }

/**
 * @param fallback the path when none is given; undefined makes it required
 * @throws PATH_INVALID, VALIDATION_FAILED
 */
export const guestPath = ({ path, path_b64, partition }: Said, fallback?: string): GuestPath => {
  if (path_b64 !== undefined && !base64.test(path_b64)) throw new HubError('PATH_INVALID', 'path_b64 is not base64')
  const text = path ?? fallback
  if (path_b64 === undefined && text === undefined)
    throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
      fields: [{ field: 'path', message: 'is required', code: 'REQUIRED' }],
    })
  let bytes = path_b64 === undefined ? Buffer.from(text!, 'utf8') : Buffer.from(path_b64, 'base64')
  let number = partition
  // `/partition-2/etc` is `/etc` of partition 2.
  const prefix = /^\/partition-(\d{1,5})(?=\/|$)/.exec(bytes.toString('latin1'))
  if (prefix && (partition === undefined || partition === Number(prefix[1]))) {
    number = Number(prefix[1])
    bytes = bytes.subarray(prefix[0].length)
    if (bytes.length === 0) bytes = Buffer.from('/')
  }
  if (bytes[0] !== 0x2f || bytes.includes(0))
    throw new HubError('PATH_INVALID', 'The path must be absolute and hold no NUL')
  if (bytes.length > pathBytesMax) throw new HubError('PATH_INVALID', `The path is longer than ${pathBytesMax} bytes`)
  return { partition: number, path_b64: bytes.toString('base64') }
}

/** Paths of one volume, as an archive of its root takes them. @throws PATH_INVALID */
export const pathsBelowRoot = (paths: readonly GuestPath[]): { partition: number | undefined; only_b64: string[] } => {
  const partition = paths[0]?.partition
  const only_b64 = paths.map((path) => {
    const bytes = Buffer.from(path.path_b64, 'base64')
    if (path.partition !== partition) throw new HubError('PATH_INVALID', 'The paths are of several volumes')
    if (bytes.length === 1) throw new HubError('PATH_INVALID', 'The root is downloaded as a folder')
    return bytes.subarray(1).toString('base64')
  })
  return { partition, only_b64 }
}
