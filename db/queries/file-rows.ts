/** Versions as they are shown: with where they are, and with the digest of what they hold. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import type { IndexedEntry } from '../../contract/agent.ts'
import { stored } from '../../contract/index-slices.ts'
import { type Place, placeOfName, versionsIn } from './file-places.ts'
import type { Placed } from './file-timeline.ts'

export type VersionRow = {
  contextId: string
  vmName: string
  volume: string
  folder: string
  name: string
  kind: IndexedEntry[1]
  /** Bytes. */
  size: number
  /** Microseconds since 1970. */
  modified: number
  firstAt: number
  lastAt: number
  /** Where a policy asked for it. */
  sha256: Buffer | null
}
export type FolderRow = Pick<VersionRow, 'contextId' | 'vmName' | 'volume' | 'folder'>

export const readFolders = async (
  db: Pick<Connection, 'query'>,
  ids: Iterable<number>,
): Promise<Map<number, FolderRow>> => {
  const unique = [...new Set(ids)]
  if (unique.length === 0) return new Map()
  const [rows] = await db.query<(FolderRow & { id: number } & RowDataPacket)[]>(
    `SELECT f.id, c.context_id AS contextId, c.vm_name AS vmName, o.volume, f.path AS folder
     FROM file_folders f JOIN file_volumes o ON o.id = f.volume_id JOIN vm_backup_contexts c ON c.context_id = o.vm_backup_context_id WHERE f.id IN (?)`,
    [unique],
  )
  return new Map(rows.map(({ id, ...folder }) => [id, folder]))
}

/** As everywhere in the index, the same name, size and time are the same content. */
export const contentKey = (folderId: number, hash: number, size: number, modified: number): string =>
  `${folderId} ${hash} ${size} ${modified}`
export const keyOfContent = ({ folderId, hash, entry: [, , size, modified] }: Placed) =>
  contentKey(folderId, hash, size, modified)
/** By the key of the content. */
export const readDigests = async (
  db: Pick<Connection, 'query'>,
  places: readonly Place[],
): Promise<Map<string, Buffer>> => {
  const found = new Map<string, Buffer>()
  for (const place of versionsIn(places)) {
    const [rows] = await db.query<RowDataPacket[]>(
      `SELECT v.folder_id, v.name_hash, v.size, v.modified, v.sha256 FROM file_digests v WHERE ${place}`,
    )
    for (const row of rows) found.set(contentKey(row.folder_id, row.name_hash, row.size, row.modified), row.sha256)
  }
  return found
}

/** In the same order; undefined for one whose folder was deleted meanwhile. */
export const toRows = async (
  db: Pick<Connection, 'query'>,
  versions: readonly Placed[],
): Promise<(VersionRow | undefined)[]> => {
  const folders = await readFolders(
    db,
    versions.map(({ folderId }) => folderId),
  )
  const digests = await readDigests(
    db,
    versions.map(({ folderId, hash }) => placeOfName(folderId, hash)),
  )
  return versions.map((version) => {
    const folder = folders.get(version.folderId)
    const [name, kind, size, modified] = version.entry
    const { firstAt, lastAt } = version
    const sha256 = (kind === 'f' && digests.get(keyOfContent(version))) || null
    return folder && { ...folder, name: stored(name), kind, size, modified, firstAt, lastAt, sha256 }
  })
}
