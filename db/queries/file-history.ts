/** Every version of one path. */
import type { RowDataPacket } from 'mysql2/promise'
import { nameHash, stored } from '../../contract/index-slices.ts'
import type { Database } from '../database.ts'
import { hashOfFolder } from './file-paths.ts'
import { placeOfName } from './file-places.ts'
import { toRows, type VersionRow } from './file-rows.ts'
import { readVersions } from './file-versions.ts'

const versionsMax = 10_000

/** The newest first. @param volume without it, of every volume */
export const versionsOf = async (
  { pool }: Pick<Database, 'pool'>,
  contextIds: readonly string[],
  { folder, name }: { folder: string; name: string },
  volume: string | undefined,
): Promise<VersionRow[]> => {
  if (contextIds.length === 0) return []
  const [folders] = await pool.query<({ id: number } & RowDataPacket)[]>(
    `SELECT f.id FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id
     WHERE o.vm_backup_context_id IN (?) AND f.path_hash = ? ${volume === undefined ? '' : 'AND o.volume = ?'} ORDER BY f.id`,
    [contextIds, hashOfFolder(folder), ...(volume === undefined ? [] : [volume])],
  )
  const hash = nameHash(name)
  const versions = await readVersions(
    pool,
    folders.map(({ id }) => placeOfName(id, hash)),
  )
  const own = versions.filter(({ entry: [said] }) => stored(said) === name).sort((a, b) => b.firstAt - a.firstAt)
  return (await toRows(pool, own.slice(0, versionsMax))).filter((row) => row !== undefined)
}
