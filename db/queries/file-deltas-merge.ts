/** Merges deltas into the slices that they lie over. */
import type { Pool, PoolConnection } from 'mysql2/promise'
import { HubError } from '../../contract/errors.ts'
import type { Database } from '../database.ts'
import { type Delta, nextDeltas } from './file-deltas.ts'
import { Go } from './file-index-go.ts'
import { writeGo } from './file-index-rows.ts'
import { placesOfTold } from './file-told.ts'
import { readSlices } from './file-versions.ts'
import { WordWriter } from './file-words.ts'

/** Deltas, each of part of a folder, that are merged in one go. */
const deltasAtOnce = 50

/** Until none is left. Nobody else may write the index meanwhile. What a hub leaves that dies on the way is merged the next time. */
export const mergeDeltas = async ({ pool }: Pick<Database, 'pool'>): Promise<void> => {
  const connection = await pool.getConnection()
  try {
    for (let last: Delta | undefined; ; ) {
      const deltas = ofOnePoint(await nextDeltas(connection, last, deltasAtOnce))
      if (deltas.length === 0) break
      if (await mergeSome(pool, connection, deltas)) last = deltas.at(-1)
    }
    connection.release()
  } catch (error) {
    connection.destroy()
    throw error
  }
}

/** The first ones. */
const ofOnePoint = (deltas: readonly Delta[]): Delta[] => {
  const isOther = ({ point: { at, before } }: Delta) => at !== deltas[0]!.point.at || before !== deltas[0]!.point.before
  const end = deltas.findIndex(isOther)
  return end < 0 ? [...deltas] : deltas.slice(0, end)
}

/** @returns whether it is done; else a folder was deleted meanwhile, and its deltas with it */
const mergeSome = async (pool: Pool, connection: PoolConnection, deltas: readonly Delta[]): Promise<boolean> => {
  const places = deltas.flatMap(({ folderId, told }) => placesOfTold({ ...told, folderId }))
  const slices = await readSlices(connection, places)
  const ofFolder = new Map<number, Delta[]>()
  for (const delta of deltas) ofFolder.set(delta.folderId, [...(ofFolder.get(delta.folderId) ?? []), delta])
  const words = new WordWriter(pool)
  const go = new Go(deltas[0]!.point, words, undefined)
  for (const [folderId, own] of ofFolder) go.merge(own, slices.get(folderId) ?? [])
  try {
    await writeGo(connection, words, go)
  } catch (error) {
    if (!(error instanceof HubError && error.code === 'BACKUP_NOT_FOUND')) throw error
    await connection.rollback()
    return false
  }
  await words.end()
  return true
}
