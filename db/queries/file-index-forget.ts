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

/** Else what deleted points had would be taken for what `point` has: what they alone had goes, and what the next point has, too, begins there. */
export const forgetWhatNoPointHas = async (connection: PoolConnection, point: IndexPoint): Promise<void> => {
  const { contextId, before = -1, after = stillThere } = point
  const run = (sql: string) =>
    connection.query({ sql, namedPlaceholders: true } as never, { contextId, before, after }) as Promise<unknown>
  const own = 'v.volume_id IN (SELECT id FROM file_volumes WHERE vm_backup_context_id = :contextId)'
  const ofNoPoint = `${own} AND NOT EXISTS (SELECT 1 FROM file_indexes i WHERE i.vm_backup_context_id = :contextId
    AND i.status = 'completed' AND i.point_at >= v.first_at AND i.point_at < v.last_at)`
  for (const [name, columns] of Object.entries(temporaryTables))
    await run(`CREATE OR REPLACE TEMPORARY TABLE ${name} ${columns}`)
  await connection.beginTransaction()
  try {
    for (const condition of [`v.last_at < ${stillThere}`, 'v.first_at > :before'])
      await run(
        `INSERT IGNORE INTO file_forgotten SELECT v.folder_id, v.name_hash, v.first_at, v.name FROM file_versions v WHERE ${ofNoPoint} AND ${condition}`,
      )
    await run(
      `DELETE v FROM file_forgotten x JOIN file_versions v ON v.folder_id = x.folder_id AND v.name_hash = x.name_hash AND v.first_at = x.first_at`,
    )
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
