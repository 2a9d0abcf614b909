/** Writes what a go has made of the index. */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import { HubError } from '../../contract/errors.ts'
import { deltaColumns } from './file-deltas.ts'
import { forgetNames } from './file-index-forget.ts'
import type { Go } from './file-index-go.ts'
import type { WordWriter } from './file-words.ts'
import { loadRows } from './load-rows.ts'

/** Rows that one statement takes out. */
const goneAtOnce = 500

/** All of it or nothing. @throws BACKUP_NOT_FOUND when one of its folders was deleted meanwhile, with its machine */
export const writeGo = async (connection: PoolConnection, words: WordWriter, go: Go): Promise<void> => {
  const load = (table: string, columns: string[], rows: readonly string[] | Buffer, isReplaced = false) =>
    loadRows(connection, { table, columns, isReplaced }, rows)
  const names = ['folder_id', 'name_hash']
  await connection.beginTransaction()
  await holdFolders(connection, [...go.folders])
  await connection.query('SET foreign_key_checks = 0')
  await remove(connection, 'file_deltas', go.goneDeltas, ({ least }) => `least = ${least}`)
  await remove(connection, 'file_slices', go.goneSlices, ({ least }) => `least = ${least}`)
  await remove(
    connection,
    'file_versions',
    go.goneVersions,
    ({ hash, firstAt }) => `name_hash = ${hash} AND first_at = ${firstAt}`,
  )
  await load('file_deltas', deltaColumns, go.deltas, true)
  await load('file_slices', ['folder_id', 'least', 'bits', 'files'], go.slices.bytes, true)
  await load('file_versions', [...names, 'name', 'kind', 'size', 'modified', 'first_at', 'last_at'], go.versions)
  await connection.query('SET foreign_key_checks = 1')
  await load('file_changes', ['volume_id', 'at', ...names], go.changes)
  await load('file_seen', ['folder_id'], go.seen)
  // The last: until the end of this, nobody writes words that it has taken out.
  if (go.lost.length > 0) await words.between(() => forgetNames(connection, go.lost))
  await connection.commit()
}

const remove = async <T extends { folderId: number }>(
  connection: PoolConnection,
  table: string,
  all: readonly T[],
  condition: (one: T) => string,
) => {
  for (let at = 0; at < all.length; at += goneAtOnce) {
    const some = all.slice(at, at + goneAtOnce).map((one) => `(folder_id = ${one.folderId} AND ${condition(one)})`)
    await connection.query(`DELETE FROM ${table} WHERE ${some.join(' OR ')}`)
  }
}
/** Looks once for each folder whether it is there, and keeps it there. */
const holdFolders = async (connection: PoolConnection, ids: number[]): Promise<void> => {
  if (ids.length === 0) return
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT id FROM file_folders WHERE id IN (?) LOCK IN SHARE MODE',
    [ids],
  )
  if (rows.length < ids.length) throw new HubError('BACKUP_NOT_FOUND', 'The backup was deleted')
}
