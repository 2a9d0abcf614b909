/** Opens files for users who can enter none of their folders: what a process is handed it can open again, and nothing beside it. */
import { type FileHandle, open } from 'node:fs/promises'
import type { UserIds } from '../contract/settings.ts'

const readableByAll = 0o444

/** @throws what the first that can not be opened throws; none is left open then */
const openAll = async (
  paths: readonly string[],
  make: (handle: FileHandle, at: number) => Promise<void>,
): Promise<FileHandle[]> => {
  const handles: FileHandle[] = []
  try {
    for (const [at, path] of paths.entries()) {
      const handle = await open(path, 'r')
      handles.push(handle)
      await make(handle, at)
    }
    return handles
  } catch (error) {
    await closeAll(handles)
    throw error
  }
}

const isReadableByAll = async (handle: FileHandle) => ((await handle.stat()).mode & readableByAll) === readableByAll

/** Sealed files: everybody may read them who gets at them. */
export const openForAll = (paths: readonly string[]): Promise<FileHandle[]> =>
  openAll(paths, async (handle) => {
    if (!(await isReadableByAll(handle))) await handle.chmod(((await handle.stat()).mode & 0o7777) | readableByAll)
  })

/** @param isWritten whether that user writes the file: it becomes his own, as does what only he may read */
export const openFor = (
  { uid, gid }: UserIds,
  paths: readonly string[],
  isWritten: (at: number) => boolean,
): Promise<FileHandle[]> =>
  openAll(paths, async (handle, at) => {
    if (isWritten(at) || !(await isReadableByAll(handle))) await handle.chown(uid, gid)
  })

export const closeAll = async (handles: readonly FileHandle[]): Promise<void> => {
  for (const handle of handles) await handle.close()
}
