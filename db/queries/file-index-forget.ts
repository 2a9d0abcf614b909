/** Takes out of the index what only deleted restore points had, and what a hub had begun that died. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { stillThere } from './file-index.ts'
import type { IndexPoint } from './file-index-writer.ts'
import { forgetWords, type LostName } from './file-words.ts'

const forgottenColumns = `(folder_id INT NOT NULL, name_hash BIGINT NOT NULL, first_at BIGINT NOT NULL, name VARCHAR(1400) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
  PRIMARY KEY (folder_id, name_hash, first_at))`
/** Before every point. */
const never = -1

/**
 * Else what deleted points had would be taken for what `point` has: what they alone had goes, and what the next point has, too, begins there. Says that `point` is walked
 * through from now on.
 * @param points when the indexed points of that VM were completed, the newest first
 */
export const forgetWhatNoPointHas = async (
  connection: PoolConnection,
  { contextId, at, before = never, after }: IndexPoint,
  points: readonly number[],
): Promise<void> => {
  const run = (sql: string, more: Record<string, unknown> = {}) =>
    connection.query({ sql, namedPlaceholders: true } as never, {
      contextId,
      at,
      before,
      after,
      ...more,
    }) as Promise<unknown>
  const [walks] = (await run('SELECT at FROM file_walks WHERE vm_backup_context_id = :contextId')) as [{ at: number }[]]
  const gone = walks.map((walk) => walk.at).filter((one) => !points.includes(one))
  // Older than another: what begins between the two, with points that were deleted, begins with the other.
  if (gone.length === 0 && after === undefined) return void (await run(sayWalked))
  await run(`CREATE OR REPLACE TEMPORARY TABLE file_forgotten ${forgottenColumns}`)
  await connection.beginTransaction()
  try {
    // Between two points that are left: what begins and ends there no point has.
    const bounds = [stillThere, ...points, never]
    for (const [number, from] of bounds.slice(1).entries()) {
      const to = bounds[number]!
      if (!gone.some((one) => one > from && one < to)) continue
      // What the oldest begins with is no change, and all of it may have to go.
      const [source, where] =
        from === never && to === stillThere ? [versions, ''] : [changed, 'AND c.at > :from AND c.at <= :to']
      await run(
        `INSERT IGNORE INTO file_forgotten SELECT v.folder_id, v.name_hash, v.first_at, v.name FROM ${source}
         WHERE o.vm_backup_context_id = :contextId ${where} AND v.first_at > :from AND v.last_at <= :to`,
        { from, to },
      )
    }
    await run(
      `DELETE v FROM file_forgotten x JOIN file_versions v ON v.folder_id = x.folder_id AND v.name_hash = x.name_hash AND v.first_at = x.first_at`,
    )
    if (after !== undefined) {
      const begunThere = 'v.first_at > :before AND v.first_at < :after AND v.last_at > :after'
      await run(
        `INSERT IGNORE INTO file_changes SELECT o.id, :after, v.folder_id, v.name_hash FROM ${versions} WHERE o.vm_backup_context_id = :contextId AND ${begunThere}`,
      )
      await run(
        `UPDATE ${versions} SET v.first_at = :after WHERE o.vm_backup_context_id = :contextId AND ${begunThere}`,
      )
    }
    await run(
      `DELETE d FROM file_forgotten x JOIN file_digests d ON d.folder_id = x.folder_id AND d.name_hash = x.name_hash
       LEFT JOIN file_versions v ON v.folder_id = d.folder_id AND v.name_hash = d.name_hash AND v.size = d.size AND v.modified = d.modified
       WHERE v.folder_id IS NULL`,
    )
    const [lost] = (await run(
      `SELECT DISTINCT x.folder_id AS folderId, x.name_hash AS nameHash, x.name FROM file_forgotten x
       LEFT JOIN file_versions v ON v.folder_id = x.folder_id AND v.name_hash = x.name_hash WHERE v.folder_id IS NULL`,
    )) as [(LostName & RowDataPacket)[]]
    await forgetWords(connection, lost)
    // Nothing is asked of what was before the oldest.
    const oldest = Math.min(points.at(-1) ?? stillThere, at)
    await run(
      'DELETE c FROM file_volumes o JOIN file_changes c ON c.volume_id = o.id WHERE o.vm_backup_context_id = :contextId AND c.at < :oldest',
      { oldest },
    )
    await run('DELETE FROM file_walks WHERE vm_backup_context_id = :contextId AND at IN (:gone)', {
      gone: [never, ...gone],
    })
    await run(sayWalked)
    await connection.commit()
  } catch (error) {
    await connection.rollback().catch(() => undefined)
    throw error
  }
  await run('DROP TEMPORARY TABLE file_forgotten')
}

const sayWalked = 'INSERT IGNORE INTO file_walks (vm_backup_context_id, at) VALUES (:contextId, :at)'
const versions = 'file_volumes o JOIN file_folders f ON f.volume_id = o.id JOIN file_versions v ON v.folder_id = f.id'
const changed =
  'file_volumes o JOIN file_changes c ON c.volume_id = o.id JOIN file_versions v ON v.folder_id = c.folder_id AND v.name_hash = c.name_hash'
