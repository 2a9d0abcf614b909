/** Digests of what files hold: which of a restore point have none yet, and keeping them. */
import { stored } from '../../contract/index-slices.ts'
import type { Database } from '../database.ts'
import { joinedPath } from './file-paths.ts'
import { type Piece, piecesOf } from './file-pieces.ts'
import { placeOfSlices } from './file-places.ts'
import { keyOfContent, readDigests, readFolders } from './file-rows.ts'
import { isAt } from './file-timeline.ts'
import { readVersions } from './file-versions.ts'
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

/** Files of one batch, and what they may hold together, but for one that is larger. */
const [filesAtOnce, bytesAtOnce] = [2_000, 4 * 1024 ** 3]

/** Files of an indexed point, folder by folder and each once: who keeps no digest of one gets it at the next call. @param at when the point was completed */
export async function* filesWithoutDigest(
  { pool }: Pick<Database, 'pool'>,
  contextId: string,
  at: number,
): AsyncGenerator<FileWithoutDigest[]> {
  for await (const pieces of piecesOf(pool, contextId, { withPast: true })) {
    let some: Piece[] = []
    let names = 0
    for (const [number, piece] of pieces.entries()) {
      some.push(piece)
      names += piece.names
      if (names < filesAtOnce && number < pieces.length - 1) continue
      for (const batch of byBytes(await withoutDigest(pool, some, at))) yield batch
      some = []
      names = 0
    }
  }
}

const withoutDigest = async (
  pool: Database['pool'],
  pieces: readonly Piece[],
  at: number,
): Promise<FileWithoutDigest[]> => {
  const places = pieces.map(({ folderId, bits, from, to }) => placeOfSlices(folderId, bits, from, to))
  const files = (await readVersions(pool, places)).filter((version) => version.entry[1] === 'f' && isAt(version, at))
  const known = await readDigests(pool, places)
  const folders = await readFolders(
    pool,
    files.map(({ folderId }) => folderId),
  )
  const volumes = new Map(pieces.map(({ folderId, volumeId }) => [folderId, volumeId]))
  return files.flatMap((file) => {
    const { folderId, hash: nameHash, entry } = file
    const place = folders.get(folderId)
    if (!place || known.has(keyOfContent(file))) return []
    const [name, , size, modified] = entry
    const { volume, folder } = place
    const volumeId = volumes.get(folderId)!
    return [{ volumeId, volume, folderId, nameHash, size, modified, folder, name: stored(name) }]
  })
}

function* byBytes(files: readonly FileWithoutDigest[]): Generator<FileWithoutDigest[]> {
  let batch: FileWithoutDigest[] = []
  let bytes = 0
  for (const file of files) {
    const isFull = batch.length === filesAtOnce || bytes + file.size > bytesAtOnce
    if (batch.length > 0 && (isFull || file.volumeId !== batch[0]!.volumeId)) {
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
