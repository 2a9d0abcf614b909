/** Reads versions of files: those that the newest point has, by the slice, and those that it has no more, one by one. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import type { IndexedEntry } from '../../contract/agent.ts'
import { nameHash, saidOf } from '../../contract/index-slices.ts'
import { laidOver, readDeltas } from './file-deltas.ts'
import { type Place, slicesIn, versionsIn } from './file-places.ts'
import { entriesOf, hashOfEntry, type KeptSlice, toSlice } from './file-slices.ts'
import { type Placed, stillThere } from './file-timeline.ts'

type Connected = Pick<Connection, 'query'>

type SliceRow = [folderId: number, bits: number, least: number, files: string]
type PastRow = [folderId: number, name: string, ...rest: [kind: IndexedEntry[1], ...numbers: number[]]]

/** By folder. */
export const readSlices = async (db: Connected, places: readonly Place[]): Promise<Map<number, KeptSlice[]>> => {
  const found = new Map<number, KeptSlice[]>()
  for (const place of slicesIn(places)) {
    const sql = `SELECT s.folder_id, s.bits, s.least, s.files FROM file_slices s WHERE ${place} ORDER BY s.folder_id, s.least`
    const [rows] = await db.query<(SliceRow & RowDataPacket)[]>({ sql, rowsAsArray: true })
    for (const [folderId, bits, least, files] of rows) {
      const known = found.get(folderId)
      if (known) known.push({ bits, least, files })
      else found.set(folderId, [{ bits, least, files }])
    }
  }
  return found
}

/** Versions that the newest point does not have any more. */
export const readPast = async (db: Connected, places: readonly Place[]): Promise<Placed[]> => {
  const found: Placed[] = []
  for (const place of versionsIn(places)) {
    const sql = `SELECT v.folder_id, v.name, v.kind, v.size, v.modified, v.first_at, v.last_at FROM file_versions v WHERE ${place} ORDER BY v.folder_id, v.name_hash, v.first_at`
    const [rows] = await db.query<(PastRow & RowDataPacket)[]>({ sql, rowsAsArray: true })
    for (const [folderId, name, kind, ...numbers] of rows) {
      const [size, modified, firstAt, lastAt] = numbers as [number, number, number, number]
      const hash = nameHash(name)
      found.push({ folderId, hash, entry: [saidOf(name), kind, size, modified], firstAt, lastAt })
    }
  }
  return found
}

/** All versions of names in these places, of each place those of the newest point first. What several places have is told once. */
export const readVersions = async (db: Connected, places: readonly Place[]): Promise<Placed[]> => {
  const ofFolder = new Map<number, Place[]>()
  for (const place of places) ofFolder.set(place.folderId, [...(ofFolder.get(place.folderId) ?? []), place])
  const deltas = await readDeltas(db, ofFolder.keys())
  const slices = await readSlices(db, places)
  const past = await readPast(db, places)
  const found: Placed[] = []
  for (const [folderId, own] of ofFolder) {
    const kept = slices.get(folderId) ?? []
    const over = deltas.get(folderId)
    const isAsked = ({ hash }: Placed) => own.some(({ least, most }) => hash >= least && hash <= most)
    for (const version of over ? laidOver(over, kept) : inSlices(folderId, kept))
      if (isAsked(version)) found.push(version)
  }
  if (deltas.size === 0) return [...found, ...past]
  // What was merged after the slices had been read.
  const keyOf = ({ folderId, hash, firstAt }: Placed) => `${folderId} ${hash} ${firstAt}`
  const ended = new Set(past.map(keyOf))
  return [...found.filter((version) => !ended.has(keyOf(version))), ...past]
}
function* inSlices(folderId: number, kept: readonly KeptSlice[]): Generator<Placed> {
  for (const slice of kept)
    for (const { entry, firstAt } of entriesOf(toSlice(slice)))
      yield { folderId, hash: hashOfEntry(entry), entry, firstAt, lastAt: stillThere }
}
