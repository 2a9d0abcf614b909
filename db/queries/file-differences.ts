/** What differs between two points of one VM. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { hashesOfPrefix, stored } from '../../contract/index-slices.ts'
import type { Database } from '../database.ts'
import { type Delta, nextDeltas, prefixesOf } from './file-deltas.ts'
import { placeOfPrefix } from './file-places.ts'
import { toRows, type VersionRow } from './file-rows.ts'
import { isAlike, type Placed, versionAt } from './file-timeline.ts'
import { readVersions } from './file-versions.ts'
import { loadRows } from './load-rows.ts'

/** Folders, and names, that are looked at in one go. */
const [foldersAtOnce, namesAtOnce] = [100, 2_000]
const deltasAtOnce = 100

export type DifferenceRow = { before: VersionRow | undefined; after: VersionRow | undefined }
type Difference = { before: Placed | undefined; after: Placed | undefined }
type Asked = { points: readonly [from: number, to: number]; below: string; limit: number; offset: number }

/** Folder by folder, and by name in each. @param below a folder, without a slash at its end; '' for all */
export const differences = async (
  { pool }: Pick<Database, 'pool'>,
  contextId: string,
  asked: Asked,
): Promise<DifferenceRow[]> => {
  const connection = await pool.getConnection()
  try {
    await findChanged(connection, contextId, asked.points)
    const found = await inOrder(connection, asked)
    const rows = await toRows(
      connection,
      found.flatMap(({ before, after }) => [before, after].filter(isThere)),
    )
    return found.map(({ before, after }) => ({
      before: before && rows.shift(),
      after: after && rows.shift(),
    }))
  } finally {
    await connection.query('DROP TEMPORARY TABLE IF EXISTS file_differing')
    connection.release()
  }
}
const isThere = (version: Placed | undefined): version is Placed => version !== undefined

/** Names that have changed in a point between the two, by the first bits of their hashes; some of them may be as before. */
const findChanged = async (connection: PoolConnection, contextId: string, points: readonly [number, number]) => {
  const range = [contextId, Math.min(...points), Math.max(...points)]
  await connection.query(
    'CREATE OR REPLACE TEMPORARY TABLE file_differing (folder_id INT NOT NULL, prefix BIGINT NOT NULL, PRIMARY KEY (folder_id, prefix))',
  )
  // Before the changes: those of what is merged meanwhile are found there.
  for (let last: Delta | undefined; ; ) {
    const deltas = await nextDeltas(connection, last, deltasAtOnce, range)
    const rows = deltas.flatMap((delta) => prefixesOf(delta).map((prefix) => `${delta.folderId}\t${prefix}`))
    await loadRows(connection, { table: 'file_differing', columns: ['folder_id', 'prefix'] }, rows)
    if (deltas.length < deltasAtOnce) break
    last = deltas.at(-1)
  }
  await connection.query(
    `INSERT IGNORE INTO file_differing SELECT c.folder_id, c.name_hash DIV ? FROM file_volumes o JOIN file_changes c ON c.volume_id = o.id
     WHERE o.vm_backup_context_id = ? AND c.at > ? AND c.at <= ?`,
    [hashesOfPrefix, ...range],
  )
}

const inOrder = async (connection: PoolConnection, asked: Asked): Promise<Difference[]> => {
  const { below, limit, offset } = asked
  const isIn = below === '' ? '' : 'WHERE f.path = ? OR f.path LIKE ?'
  const [folders] = await connection.query<({ id: number } & RowDataPacket)[]>(
    `SELECT f.id FROM (SELECT DISTINCT folder_id FROM file_differing) n JOIN file_folders f ON f.id = n.folder_id JOIN file_volumes o ON o.id = f.volume_id
     ${isIn} ORDER BY o.volume, f.path, f.id`,
    below === '' ? [] : [below, `${like(below)}/%`],
  )
  const found: Difference[] = []
  for (let at = 0; at < folders.length && found.length < offset + limit; at += foldersAtOnce) {
    const ids = folders.slice(at, at + foldersAtOnce).map(({ id }) => id)
    const place = new Map(ids.map((id, number) => [id, number]))
    const rankOf = ({ before, after }: Difference) => place.get((before ?? after)!.folderId)!
    let own: Difference[] = []
    for await (const some of differing(connection, ids, asked.points)) {
      // No more of a very large folder than a page can need.
      own = [...own, ...some]
        .sort((a, b) => rankOf(a) - rankOf(b) || (nameOf(a) < nameOf(b) ? -1 : 1))
        .slice(0, offset + limit - found.length)
    }
    found.push(...own)
  }
  return found.slice(offset, offset + limit)
}
const nameOf = ({ before, after }: Difference) => stored((before ?? after)!.entry[0])
/** For LIKE: as it is, with nothing in it that stands for others. */
const like = (text: string) => text.replace(/[\\%_]/g, '\\$&')

/** Of these folders, in no order. */
async function* differing(
  connection: PoolConnection,
  folders: readonly number[],
  [from, to]: readonly [number, number],
): AsyncGenerator<Difference[]> {
  for (let last = { folderId: 0, prefix: -1 }; ; ) {
    const [names] = await connection.query<({ folderId: number; prefix: number } & RowDataPacket)[]>(
      `SELECT folder_id AS folderId, prefix FROM file_differing
       WHERE folder_id IN (?) AND (folder_id > ? OR (folder_id = ? AND prefix > ?)) ORDER BY folder_id, prefix LIMIT ?`,
      [folders, last.folderId, last.folderId, last.prefix, namesAtOnce],
    )
    const byName = new Map<string, Placed[]>()
    const places = names.map(({ folderId, prefix }) => placeOfPrefix(folderId, prefix))
    for (const version of await readVersions(connection, places)) {
      const key = `${version.folderId} ${stored(version.entry[0])}`
      byName.set(key, [...(byName.get(key) ?? []), version])
    }
    yield [...byName.values()]
      .map((versions) => ({ before: versionAt(versions, from), after: versionAt(versions, to) }))
      // One that was changed and then as before is no difference.
      .filter(({ before, after }) => !isAlike(before?.entry, after?.entry))
    if (names.length < namesAtOnce) return
    last = names.at(-1)!
  }
}
