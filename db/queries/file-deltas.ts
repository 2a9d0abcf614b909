/**
 * Of the newest point a walk mostly tells which files have changed. That is kept as it was told, and lies over the slices for whoever reads them: the point is known then. Only afterwards are the slices
 * written again, which for one changed file in a hundred is a quarter of all.
 */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { firstOfSlice, prefixOf, sliceOf } from '../../contract/index-slices.ts'
import { FolderSlices, hashOfEntry, type KeptSlice } from './file-slices.ts'
import { type Bounds, isPast, type Placed, stillThere, withPoint } from './file-timeline.ts'
import { changedNames, type Told } from './file-told.ts'
import { columnText } from './load-rows.ts'

export type Delta = { folderId: number; volumeId: number; least: number; point: Bounds; told: Told }
type Connected = Pick<Connection, 'query'>

export const deltaColumns = ['folder_id', 'least', 'at', 'before_at', 'told']
/** Characters of one; what is longer is written into the slices at once. */
const toldLengthMax = 1024 * 1024
/** Folders that are asked for at once. */
const foldersAtOnce = 1000

/** Rows of what is told of one folder; undefined where that does not only say what has changed, or says too much. */
export const deltaRows = (
  { at, before }: Bounds,
  parts: readonly (Told & { folderId: number })[],
): string[] | undefined => {
  const rows: string[] = []
  for (const { folderId, bits, from, to, same, entries, unnamed } of parts) {
    if (same === null) return undefined
    if (entries.length + unnamed.length === 0) continue
    const text = JSON.stringify({ bits, from, to, same, entries, unnamed } satisfies Told)
    if (text.length > toldLengthMax) return undefined
    rows.push([folderId, firstOfSlice(from, bits), at, before, columnText(text)].join('\t'))
  }
  return rows
}

type DeltaRow = RowDataPacket & {
  folderId: number
  volumeId: number
  least: number
  at: number
  before: number
  told: string
}
const selectDeltas =
  'SELECT d.folder_id AS folderId, f.volume_id AS volumeId, d.least, d.at, d.before_at AS `before`, d.told FROM file_deltas d JOIN file_folders f ON f.id = d.folder_id'
const toDelta = ({ folderId, volumeId, least, at, before, told }: DeltaRow): Delta => ({
  ...{ folderId, volumeId, least, told: JSON.parse(told) },
  point: { before, at, after: undefined },
})

/** By folder. To be read before the slices that they lie over: what is merged meanwhile those have. */
export const readDeltas = async (db: Connected, folderIds: Iterable<number>): Promise<Map<number, Delta[]>> => {
  const ids = [...new Set(folderIds)]
  const found = new Map<number, Delta[]>()
  for (let from = 0; from < ids.length; from += foldersAtOnce) {
    const [rows] = await db.query<DeltaRow[]>(`${selectDeltas} WHERE d.folder_id IN (?)`, [
      ids.slice(from, from + foldersAtOnce),
    ])
    for (const row of rows) found.set(row.folderId, [...(found.get(row.folderId) ?? []), toDelta(row)])
  }
  return found
}
/** Some of those that lie behind one. @param only of a VM's folder, told of points after one and up to another; without it, of all */
export const nextDeltas = async (
  db: Connected,
  behind: Pick<Delta, 'folderId' | 'least'> | undefined,
  most: number,
  only?: readonly (string | number)[],
): Promise<Delta[]> => {
  const { folderId, least } = behind ?? { folderId: 0, least: -1 }
  const [join, where] = only
    ? ['JOIN file_volumes o ON o.id = f.volume_id', 'AND o.vm_backup_context_id = ? AND d.at > ? AND d.at <= ?']
    : ['', '']
  const [rows] = await db.query<DeltaRow[]>(
    `${selectDeltas} ${join} WHERE (d.folder_id > ? OR (d.folder_id = ? AND d.least > ?)) ${where} ORDER BY d.folder_id, d.least LIMIT ?`,
    [folderId, folderId, least, ...(only ?? []), most],
  )
  return rows.map(toDelta)
}

/** Names that it tells of, by the first bits of their hashes. */
export const prefixesOf = ({ told: { entries, unnamed } }: Delta): number[] => [
  ...entries.map((entry) => prefixOf(hashOfEntry(entry))),
  ...unnamed.map(([prefix]) => prefix),
]

/** Versions of one folder, with deltas laid over slices. */
export const laidOver = (deltas: readonly Delta[], kept: readonly KeptSlice[]): Placed[] => {
  const slices = new FolderSlices(kept)
  const versions: Placed[] = []
  for (const { folderId, point, told } of deltas)
    for (const { hash, known, entry } of changedNames(told, slices))
      for (const version of withPoint(known, entry, point).versions)
        if (isPast(version)) versions.push({ ...version, folderId, hash })
        else slices.put(told.bits, sliceOf(hash, told.bits), version)
  const [{ folderId }] = deltas as [Delta]
  for (const present of slices.all())
    versions.push({ ...present, folderId, hash: hashOfEntry(present.entry), lastAt: stillThere })
  return versions
}
