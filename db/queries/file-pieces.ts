/** All that is known of a VM's files, in pieces: a folder may have more files than there is room for. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { sliceBits } from '../../contract/index-slices.ts'

/** Slices `from` to `to` of 2^bits of a folder; none that the table has reaches beyond them. */
export type Piece = { volumeId: number; folderId: number; bits: number; from: number; to: number }

const foldersAtOnce = 2_000
const slicesOfPiece = 256

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
    const [rows] = await db.query<
      ({ id: number; volumeId: number; bits: number | null; past: number } & RowDataPacket)[]
    >(
      `SELECT f.id, f.volume_id AS volumeId, (SELECT MAX(s.bits) FROM file_slices s WHERE s.folder_id = f.id) AS bits,
         (SELECT COUNT(*) FROM file_versions v WHERE v.folder_id = f.id) AS past
       FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id
       WHERE o.vm_backup_context_id = ? AND f.id > ? AND ${isKnown} ${isLeft} ORDER BY f.id LIMIT ?`,
      [contextId, last, foldersAtOnce],
    )
    yield rows.flatMap(({ id, volumeId, ...of }) => {
      const bits = Math.max(of.bits ?? 0, sliceBits(of.past))
      const pieces: Piece[] = []
      for (let from = 0; from < 2 ** bits; from += slicesOfPiece)
        pieces.push({ volumeId, folderId: id, bits, from, to: Math.min(2 ** bits, from + slicesOfPiece) })
      return pieces
    })
    if (rows.length < foldersAtOnce) return
    last = rows.at(-1)!.id
  }
}
