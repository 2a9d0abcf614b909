/** Marks of a volume's newest walk (contract/index-slices.ts): what the next walk needs not tell again. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { joinMarks, markBytes, marksMax } from '../../contract/index-slices.ts'

/** Of one row, in bytes: less than any server takes in a statement. */
const rowBytes = 1024 * 1024

export type VolumeMarks = { volumeId: number; volume: string; marks: Buffer }

/** @param at when the point was completed that the walk was of */
export const knownMarks = async (
  connection: Pick<PoolConnection, 'query'>,
  contextId: string,
  at: number,
): Promise<VolumeMarks[]> => {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT o.id AS volumeId, o.volume, m.marks FROM file_volumes o JOIN file_marks m ON m.volume_id = o.id
     WHERE o.vm_backup_context_id = ? AND m.point_at = ? ORDER BY o.id, m.part`,
    [contextId, at],
  )
  const volumes = new Map<number, VolumeMarks>()
  for (const { volumeId, volume, marks } of rows) {
    const before = volumes.get(volumeId)?.marks ?? Buffer.alloc(0)
    volumes.set(volumeId, { volumeId, volume, marks: Buffer.concat([before, marks]) })
  }
  return [...volumes.values()]
}

/** In place of those of an earlier walk. @param volumes of one machine: marks, by their numbers */
export const keepMarks = async (
  connection: Pick<PoolConnection, 'query'>,
  at: number,
  volumes: ReadonlyMap<number, readonly Buffer[]>,
): Promise<void> => {
  let count = 0
  for (const [volumeId, parts] of volumes) {
    await connection.query('DELETE FROM file_marks WHERE volume_id = ?', [volumeId])
    const marks = Buffer.concat(parts)
    if (count + marks.length > marksMax * markBytes) continue
    count += marks.length
    const bytes = joinMarks(marks)
    for (let from = 0; from < bytes.length; from += rowBytes)
      await connection.query('INSERT INTO file_marks (volume_id, part, point_at, marks) VALUES ?', [
        [[volumeId, from / rowBytes, at, bytes.subarray(from, from + rowBytes)]],
      ])
  }
}
