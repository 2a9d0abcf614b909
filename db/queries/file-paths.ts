/** Folders and names of guests' files as the index keeps them. */
import { createHash } from 'node:crypto'
import { stored } from '../../contract/index-slices.ts'

const bytesOf = (kept: string): Buffer =>
  kept.startsWith('\0') ? Buffer.from(kept.slice(1), 'base64') : Buffer.from(kept)

/** A file's folder and name, of its absolute path's bytes. */
export const splitPath = (path: Buffer): { folder: string; name: string } => {
  const slash = path.lastIndexOf('/')
  return { folder: keptOf(path.subarray(0, slash)), name: keptOf(path.subarray(slash + 1)) }
}
const keptOf = (bytes: Buffer): string => {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : stored({ b64: bytes.toString('base64') })
}

/** @returns the path as text, and its bytes as base64 where they are none */
export const joinedPath = (folder: string, name: string): { path: string; path_b64: string | null } => {
  if (!folder.startsWith('\0') && !name.startsWith('\0')) return { path: `${folder}/${name}`, path_b64: null }
  const bytes = Buffer.concat([bytesOf(folder), Buffer.from('/'), bytesOf(name)])
  return { path: bytes.toString('utf8'), path_b64: bytes.toString('base64') }
}

export const hashOfFolder = (kept: string): Buffer => createHash('sha256').update(kept).digest().subarray(0, 16)
