/** Folders that are still to be walked through, on their way between threads. */
import type { Walk } from './folder-tasks.ts'
import { fileType, Names } from './names.ts'

/** `path` in the volume, with no slash at its end; `inode`: 0 when it is not known. */
export type Folder = { path: Buffer; inode: number }

export const toFolders = (records: Uint8Array): Folder[] => {
  const names = Names.of(records)
  return Array.from(names, ({ inode, start, end }) => ({ path: names.bytes.subarray(start, end), inode }))
}
/** In memory of its own, which can be handed over. */
export const fromFolders = (folders: readonly Folder[]): Uint8Array => {
  const all = new Names()
  for (const { path, inode } of folders) all.append(fileType.folder, inode, path)
  return new Uint8Array(all.records)
}

/** A walk that is in the middle of no folder. */
export const noNames = (): Omit<Walk, 'folders'> => ({ names: new Uint8Array(), from: 0, bits: 0, slice: 0 })
