/** Takes out of the index what only deleted restore points had, and what a hub had begun that died. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { wordsOf } from '../../contract/names.ts'
import { stillThere } from './file-index.ts'
import type { IndexPoint } from './file-index-writer.ts'
import { loadRows } from './load-rows.ts'

const allWords = Number.POSITIVE_INFINITY
const temporaryTables = {
  file_forgotten: `(folder_id INT NOT NULL, name_hash BIGINT NOT NULL, first_at BIGINT NOT NULL, name VARCHAR(1400) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL,
    PRIMARY KEY (folder_id, name_hash, first_at))`,
  word_forgotten: `(word VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, name_hash BIGINT NOT NULL, PRIMARY KEY (word, name_hash))`,
}

/**
 * Else what deleted points had would be taken for what `point` has: what they alone had goes, and what the next point has, too, begins there.
 * @param points when the indexed points of that VM were completed, the newest first
 */
export const forgetWhatNoPointHas = async (
  connection: PoolConnection,
  { contextId, before = -1, after }: IndexPoint,
  points: readonly number[],
): Promise<void> => {
  const run = (sql: string, more: Record<string, unknown> = {}) =>
    connection.query({ sql, namedPlaceholders: true } as never, {
      contextId,
      before,
      after,
      ...more,
    }) as Promise<unknown>
  const own = 'v.volume_id IN (SELECT id FROM file_volumes WHERE vm_backup_context_id = :contextId)'
  // What begins with a point that is there has that point: only the others are looked at.
  const [begun] = (await run(`SELECT DISTINCT v.first_at AS at FROM file_versions v WHERE ${own}`)) as [
    { at: number }[],
  ]
  const gone = begun.filter(({ at }) => !points.includes(at))
  if (gone.length === 0) return
  for (const [name, columns] of Object.entries(temporaryTables))
    await run(`CREATE OR REPLACE TEMPORARY TABLE ${name} ${columns}`)
  await connection.beginTransaction()
  try {
    for (const { at } of gone) {
      const next = points.findLast((one) => one > at) ?? stillThere
      await run(
        `INSERT IGNORE INTO file_forgotten SELECT v.folder_id, v.name_hash, v.first_at, v.name FROM file_versions v
         WHERE ${own} AND v.first_at = :at AND v.last_at > :at AND v.last_at <= :next`,
        { at, next },
      )
    }
    await run(
      `DELETE v FROM file_forgotten x JOIN file_versions v ON v.folder_id = x.folder_id AND v.name_hash = x.name_hash AND v.first_at = x.first_at`,
    )
    if (after !== undefined)
      await run(
        `UPDATE file_versions v SET v.first_at = :after WHERE ${own} AND v.first_at > :before AND v.first_at < :after AND v.last_at > :after`,
      )
    await run(
      `DELETE d FROM file_forgotten x JOIN file_digests d ON d.folder_id = x.folder_id AND d.name_hash = x.name_hash
       LEFT JOIN file_versions v ON v.folder_id = d.folder_id AND v.name_hash = d.name_hash AND v.size = d.size AND v.modified = d.modified
       WHERE v.folder_id IS NULL`,
    )
    const [names] = (await run(
      `SELECT DISTINCT x.name, CAST(x.name_hash AS CHAR) AS hash FROM file_forgotten x LEFT JOIN file_versions v ON v.name_hash = x.name_hash WHERE v.name_hash IS NULL`,
    )) as [RowDataPacket[]]
    const words = names.flatMap(({ name, hash }) => wordsOf(name, allWords).map((word) => `${word}\t${hash}`))
    await loadRows(connection, { table: 'word_forgotten', columns: ['word', 'name_hash'] }, words)
    await run('DELETE w FROM word_forgotten x JOIN file_words w ON w.word = x.word AND w.name_hash = x.name_hash')
    await connection.commit()
  } catch (error) {
    await connection.rollback().catch(() => undefined)
    throw error
  }
  for (const name of Object.keys(temporaryTables)) await run(`DROP TEMPORARY TABLE ${name}`)
}
