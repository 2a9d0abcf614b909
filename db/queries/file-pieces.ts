/** All that is known of a VM's files, in pieces: a folder may have more files than there is room for. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { namesOfSlice, sliceBits } from '../../contract/index-slices.ts'

/** Slices `from` to `to` of 2^bits of a folder; none that the table has reaches beyond them. `names`: about as many lie in it. */
export type Piece = { volumeId: number; folderId: number; bits: number; from: number; to: number; names: number }

const foldersAtOnce = 2_000
const namesOfPiece = 8_000

const has = (table: string) => `EXISTS (SELECT 1 FROM ${table} x WHERE x.folder_id = f.id)`

/**
 * @param withPast also folders that the newest point has no files of any more
 * @param without folders that are left out: a table with a `folder_id`
 */
export async function* piecesOf(
  db: Pick<Connection, 'query'>,
  contextId: string,
  { withPast, without }: { withPast: boolean; without?: string },
): AsyncGenerator<Piece[]> {
  const isKnown = withPast ? `(${has('file_slices')} OR ${has('file_versions')})` : has('file_slices')
  const isLeft = without === undefined ? '' : `AND NOT ${has(without)}`
  for (let last = 0; ; ) {
    const [rows] = await db.query<(FolderSize & RowDataPacket)[]>(
      `SELECT f.id, f.volume_id AS volumeId, (SELECT MAX(s.bits) FROM file_slices s WHERE s.folder_id = f.id) AS bits,
         (SELECT COUNT(*) FROM file_slices s WHERE s.folder_id = f.id) AS slices, (SELECT COUNT(*) FROM file_versions v WHERE v.folder_id = f.id) AS past
       FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id
       WHERE o.vm_backup_context_id = ? AND f.id > ? AND ${isKnown} ${isLeft} ORDER BY f.id LIMIT ?`,
      [contextId, last, foldersAtOnce],
    )
    yield rows.flatMap(inPieces)
    if (rows.length < foldersAtOnce) return
    last = rows.at(-1)!.id
  }
}

type FolderSize = { id: number; volumeId: number; bits: number | null; slices: number; past: number }
/** By what is there: how many slices there could be is what somebody else has said. */
const inPieces = ({ id, volumeId, bits: most, slices, past }: FolderSize): Piece[] => {
  const names = slices * namesOfSlice + past
  const bits = Math.max(most ?? 0, sliceBits(past))
  const pieces = 2 ** Math.min(bits, Math.ceil(Math.log2(Math.max(1, names / namesOfPiece))))
  const each = 2 ** bits / pieces
  return Array.from({ length: pieces }, (_, at) => ({
    ...{ volumeId, folderId: id, bits, from: at * each, to: (at + 1) * each },
    names: names / pieces,
  }))
}
