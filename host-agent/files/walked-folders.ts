/** Folders that are still to be walked through, on their way between threads. */
import type { Walk } from './folder-tasks.ts'
import { fileType, Names } from './names.ts'

/** `path` in the volume, with no slash at its end; `inode`: 0 when it is not known. */
export type Folder = { path: Buffer; inode: number }

export const toFolders = (records: Uint8Array): Folder[] => {
  const { bytes, entries } = Names.fromRecords(Buffer.from(records.buffer, records.byteOffset, records.byteLength))
  return entries.map(({ inode, start, end }) => ({ path: bytes.subarray(start, end), inode }))
}
export const fromFolders = (folders: readonly Folder[]): Uint8Array => {
  let end = 0
  const entries = folders.map(({ path, inode }) => {
    end += path.length
    return { type: fileType.folder, inode, start: end - path.length, end }
  })
  return Names.toRecords(Buffer.concat(folders.map(({ path }) => path)), entries)
}

/** A walk that is in the middle of no folder. */
export const noNames = (): Omit<Walk, 'folders'> => ({ names: new Uint8Array(), from: 0, bits: 0, slice: 0 })
