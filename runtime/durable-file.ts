/** Writing files so that a power cut leaves the old content or the new one, and the new one once the call has returned. */
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}

export const writeFileDurably = async (path: string, content: string, mode = 0o600): Promise<void> => {
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', mode)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}
