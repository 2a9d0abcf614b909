/** Writing files so that a crash or a power cut leaves the old content or the new one, and the new one once the call has returned. */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Data and metadata of one file or folder to the disk. @throws when the disk refuses, once and for all */
export const syncPath = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The temporary name is one a path, so that a crash leaves at most one; two writers of one path must take turns. */
export const writeFileDurably = async (path: string, content: string | Buffer, mode = 0o600): Promise<void> => {
  const temporary = `${path}.tmp`
  const file = await open(temporary, 'w', mode)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncPath(dirname(path))
}
