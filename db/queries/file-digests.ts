/** Digests of what files hold: which of a restore point have none yet, and keeping them. */
import type { Database } from '../database.ts'
import { joinedPath } from './file-paths.ts'
import { loadRows } from './load-rows.ts'

export type FileWithoutDigest = {
  volumeId: number
  volume: string
  folderId: number
  nameHash: number
  size: number
  modified: number
  folder: string
  name: string
}

/** Folders whose files are looked for in one go. */
const foldersAtOnce = 500
/** Files of one batch, and what they may hold together, but for one that is larger. */
const [filesAtOnce, bytesAtOnce] = [2_000, 4 * 1024 ** 3]

/** Files of an indexed point, folder by folder and each once: who keeps no digest of one gets it at the next call. @param at when the point was completed */
export async function* filesWithoutDigest(
  { pool }: Pick<Database, 'pool'>,
  contextId: string,
  at: number,
): AsyncGenerator<FileWithoutDigest[]> {
  const [folders] = (await pool.query(
    'SELECT f.id FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id WHERE o.vm_backup_context_id = ? ORDER BY f.id',
    [contextId],
  )) as unknown as [{ id: number }[]]
  for (let from = 0; from < folders.length; from += foldersAtOnce) {
    const ids = folders.slice(from, from + foldersAtOnce).map(({ id }) => id)
    let last = { folderId: 0, nameHash: -1 }
    for (;;) {
      const [files] = (await pool.query(
        `SELECT o.id AS volumeId, o.volume, v.folder_id AS folderId, v.name_hash AS nameHash, v.size, v.modified, f.path AS folder, v.name
         FROM file_versions v JOIN file_folders f ON f.id = v.folder_id JOIN file_volumes o ON o.id = f.volume_id
         LEFT JOIN file_digests d ON d.folder_id = v.folder_id AND d.name_hash = v.name_hash AND d.size = v.size AND d.modified = v.modified
         WHERE v.folder_id IN (?) AND v.kind = 'f' AND v.first_at <= ? AND v.last_at > ? AND d.folder_id IS NULL
           AND (v.folder_id > ? OR (v.folder_id = ? AND v.name_hash > ?)) ORDER BY v.folder_id, v.name_hash LIMIT ?`,
        [ids, at, at, last.folderId, last.folderId, last.nameHash, filesAtOnce],
      )) as unknown as [FileWithoutDigest[]]
      for (const batch of byBytes(files)) yield batch
      if (files.length < filesAtOnce) break
      last = files.at(-1)!
    }
  }
}

function* byBytes(files: readonly FileWithoutDigest[]): Generator<FileWithoutDigest[]> {
  let batch: FileWithoutDigest[] = []
  let bytes = 0
  for (const file of files) {
    if (batch.length > 0 && (bytes + file.size > bytesAtOnce || file.volumeId !== batch[0]!.volumeId)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(file)
    bytes += file.size
  }
  if (batch.length > 0) yield batch
}

/** The absolute path's bytes. */
export const pathBytes = ({ folder, name }: Pick<FileWithoutDigest, 'folder' | 'name'>): Buffer => {
  const { path, path_b64 } = joinedPath(folder, name)
  return path_b64 === null ? Buffer.from(path) : Buffer.from(path_b64, 'base64')
}

/** @param digests in hexadecimal digits */
export const keepDigests = async (
  { pool }: Pick<Database, 'pool'>,
  digests: readonly (readonly [FileWithoutDigest, string])[],
): Promise<void> => {
  const connection = await pool.getConnection()
  try {
    await loadRows(
      connection,
      {
        table: 'file_digests',
        columns: ['volume_id', 'folder_id', 'name_hash', 'size', 'modified', '@digest'],
        set: 'SET sha256 = UNHEX(@digest)',
      },
      digests.map(([{ volumeId, folderId, nameHash, size, modified }, digest]) =>
        [volumeId, folderId, nameHash, size, modified, digest].join('\t'),
      ),
    )
  } finally {
    connection.release()
  }
}
