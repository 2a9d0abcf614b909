/** Takes out of the index what only deleted restore points had, and what a hub had begun that died. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { placeOfName, versionsIn } from './file-places.ts'
import { contentKey } from './file-rows.ts'
import { readVersions } from './file-versions.ts'
import { forgetWords, type LostName } from './file-words.ts'

/** Before every point. */
const never = -1
/** Names that are looked at in one go. */
const namesAtOnce = 500

/**
 * Takes out versions that lie between two points and were in none but deleted ones, and says that the point of `at` is walked through from now on.
 * @param points when the indexed points of that VM were completed, the newest first
 * @returns whether something is kept of what is newer than all of them: the next walk of a newer one puts that right
 */
export const forgetDeletedPoints = async (
  connection: PoolConnection,
  { contextId, at }: { contextId: string; at: number },
  points: readonly number[],
): Promise<boolean> => {
  const [walks] = await connection.query<({ at: number } & RowDataPacket)[]>(
    'SELECT at FROM file_walks WHERE vm_backup_context_id = ?',
    [contextId],
  )
  const gone = walks.map((walk) => walk.at).filter((one) => !points.includes(one))
  const newest = points[0] ?? never
  const between = gone.filter((one) => one < newest)
  await connection.beginTransaction()
  try {
    for (const [number, to] of points.entries()) {
      const from = points[number + 1] ?? never
      if (between.some((one) => one > from && one < to)) await forgetBetween(connection, contextId, from, to)
    }
    // Nothing is asked of what was before the oldest.
    if (between.length > 0) {
      await connection.query(
        'DELETE c FROM file_volumes o JOIN file_changes c ON c.volume_id = o.id WHERE o.vm_backup_context_id = ? AND c.at < ?',
        [contextId, Math.min(points.at(-1)!, at)],
      )
      await connection.query('DELETE FROM file_walks WHERE vm_backup_context_id = ? AND at IN (?)', [
        contextId,
        between,
      ])
    }
    await connection.query('INSERT IGNORE INTO file_walks (vm_backup_context_id, at) VALUES (?, ?)', [contextId, at])
    await connection.commit()
  } catch (error) {
    await connection.rollback().catch(() => undefined)
    throw error
  }
  return gone.length > between.length
}

/** What begins and ends between two points. */
const forgetBetween = async (connection: PoolConnection, contextId: string, from: number, to: number) => {
  const dead = 'v.first_at > ? AND v.last_at <= ?'
  for (let last = { folderId: 0, hash: -1 }; ; ) {
    const [names] = await connection.query<(LostName & RowDataPacket)[]>(
      `SELECT DISTINCT v.folder_id AS folderId, v.name_hash AS hash, v.name
       FROM file_volumes o JOIN file_changes c ON c.volume_id = o.id JOIN file_versions v ON v.folder_id = c.folder_id AND v.name_hash = c.name_hash
       WHERE o.vm_backup_context_id = ? AND c.at > ? AND c.at <= ? AND ${dead}
         AND (v.folder_id > ? OR (v.folder_id = ? AND v.name_hash > ?)) ORDER BY v.folder_id, v.name_hash LIMIT ?`,
      [contextId, from, to, from, to, last.folderId, last.folderId, last.hash, namesAtOnce],
    )
    for (const place of versionsIn(names.map(({ folderId, hash }) => placeOfName(folderId, hash))))
      await connection.query(`DELETE v FROM file_versions v WHERE ${place} AND ${dead}`, [from, to])
    await forgetNames(connection, names)
    if (names.length < namesAtOnce) return
    last = names.at(-1)!
  }
}

/** Takes out digests and words of these names that no version has any more. @param names of which versions are gone */
export const forgetNames = async (
  connection: Pick<PoolConnection, 'query'>,
  names: readonly LostName[],
): Promise<void> => {
  const places = names.map(({ folderId, hash }) => placeOfName(folderId, hash))
  const left = new Set(
    (await readVersions(connection, places)).map(({ folderId, hash, entry: [, , size, modified] }) =>
      contentKey(folderId, hash, size, modified),
    ),
  )
  for (const place of versionsIn(places)) {
    const [digests] = await connection.query<RowDataPacket[]>(
      `SELECT v.folder_id AS folderId, v.name_hash AS hash, v.size, v.modified FROM file_digests v WHERE ${place}`,
    )
    for (const { folderId, hash, size, modified } of digests)
      if (!left.has(contentKey(folderId, hash, size, modified)))
        await connection.query(
          'DELETE FROM file_digests WHERE folder_id = ? AND name_hash = ? AND size = ? AND modified = ?',
          [folderId, hash, size, modified],
        )
  }
  await forgetWords(connection, names)
}
