/**
 * Writes the files of one restore point into the index while they are being walked through. Nobody sees them before the point is said to be indexed: whatever is asked is
 * asked of points, and of what the newest of those that are indexed has. What a hub leaves that dies on the way, the next walk puts right.
 */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { IndexedFolder, IndexWalk } from '../../contract/agent.ts'
import { stored } from '../../contract/index-slices.ts'
import type { Database } from '../database.ts'
import { deltaRows } from './file-deltas.ts'
import { forgetDeletedPoints } from './file-index-forget.ts'
import { Go, type Known, type ToldPart } from './file-index-go.ts'
import { writeGo } from './file-index-rows.ts'
import { hashOfFolder } from './file-paths.ts'
import { piecesOf } from './file-pieces.ts'
import type { Bounds, Placed } from './file-timeline.ts'
import { placesOfTold } from './file-told.ts'
import { readPast, readSlices } from './file-versions.ts'
import { WordWriter } from './file-words.ts'

/** Entries, and folders, that are compared and written in one go. */
const entriesOfOneGo = 10_000
const foldersAtOnce = 2_000
/** One of a slice that is known costs as much as so many new ones: all of its slice is read and written again. */
const entriesLikeOneChanged = 16
/** Goes that may wait to be written: now the server is slower for a moment, now who compares. */
const goesAtOnce = 4
/** Of the column; longer than any that a path of 4096 bytes has. */
const folderLengthMax = 5500

/** Times of points are those when they were completed. */
export type IndexPoint = Bounds & {
  contextId: string
  /** What is kept is not what the newest point has: one was deleted, or a walk was cut off. */
  isTorn: boolean
}
/** `folder` is its path, or its number where that is known. */
type Part = Omit<ToldPart, 'folderId'> & { folder: string | number }

export class FileIndexWriter {
  /** What the agent is to keep of the walk, and which one it may go by; null: none, for one that is older than what is known. */
  readonly walk: IndexWalk | null
  readonly #pool: Database['pool']
  readonly #connection: PoolConnection
  readonly #point: IndexPoint
  readonly #entriesAtOnce: number
  /** Nothing is known of that machine. */
  readonly #isFirst: boolean
  /** Only of the newest point can be said what has changed since the one before without looking at the past. */
  readonly #needsPast: boolean
  /** What has changed since the point before is told of it. */
  readonly #isNext: boolean
  #parts: Part[] = []
  #entries = 0
  #count = 0
  readonly #words: WordWriter
  /** Most that a go had. */
  #sliceBytes: number | undefined
  /** What is being written, one go after the other, while the next one is compared. */
  readonly #writing: Promise<void>[] = []
  /** Folders of the last goes, all that are being written among them. */
  #last: ReadonlySet<number>[] = []

  /** @param points when the indexed points of that VM were completed, the newest first */
  static async open(
    { pool }: Pick<Database, 'pool'>,
    contextId: string,
    at: number,
    points: readonly number[],
    entriesAtOnce = entriesOfOneGo,
  ): Promise<FileIndexWriter> {
    const before = points.find((one) => one < at)
    const after = points.findLast((one) => one > at)
    const connection = await pool.getConnection()
    try {
      await connection.query('CREATE OR REPLACE TEMPORARY TABLE file_seen (folder_id INT NOT NULL PRIMARY KEY)')
      const isTorn = await forgetDeletedPoints(connection, { contextId, at }, points)
      return new FileIndexWriter(pool, connection, { contextId, before, at, after, isTorn }, entriesAtOnce)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }
  private constructor(pool: Database['pool'], connection: PoolConnection, point: IndexPoint, entriesAtOnce: number) {
    this.#entriesAtOnce = entriesAtOnce
    this.#pool = pool
    this.#words = new WordWriter(pool)
    this.#connection = connection
    this.#point = point
    this.#needsPast = point.after !== undefined || point.isTorn
    this.#isFirst = !this.#needsPast && point.before === undefined
    this.#isNext = !this.#needsPast && !this.#isFirst
    const since = this.#isNext ? (point.before ?? null) : null
    this.walk = point.after === undefined ? { vm_backup_context_id: point.contextId, at: point.at, since } : null
  }

  /** Of entries. */
  get count() {
    return this.#count
  }

  async add(volumeId: number, { folder: said, ...told }: IndexedFolder): Promise<void> {
    const folder = stored(said)
    if (folder.length > folderLengthMax) return
    const entries = told.entries.length + told.unnamed.length
    this.#count += entries + (told.same ?? 0)
    await this.#take({ ...told, volumeId, folder }, told.same === null ? entries : entriesLikeOneChanged * entries)
  }

  /** @param finish what belongs into the same transaction */
  async commit(finish: (query: PoolConnection['query']) => Promise<void>): Promise<void> {
    await this.#flush()
    await this.#writing.at(-1)
    if (!this.#isFirst) await this.#endUnseen()
    await this.#words.end()
    const { contextId, at, after } = this.#point
    await this.#connection.beginTransaction()
    try {
      if (after === undefined) {
        const others = 'vm_backup_context_id = ? AND at > ? AND at <> ?'
        await this.#connection.query(`DELETE FROM file_walks WHERE ${others}`, [
          contextId,
          this.#point.before ?? -1,
          at,
        ])
      }
      await finish(this.#connection.query.bind(this.#connection))
      await this.#connection.commit()
    } catch (error) {
      await this.#connection.rollback().catch(() => undefined)
      throw error
    }
  }

  async close(): Promise<void> {
    try {
      await this.#writing.at(-1)?.catch(() => undefined)
      await this.#words.settle()
      await this.#connection.rollback()
      await this.#connection.query('SET foreign_key_checks = 1')
      await this.#connection.query('DROP TEMPORARY TABLE IF EXISTS file_seen')
      this.#connection.release()
    } catch {
      this.#connection.destroy()
    }
  }

  async #take(part: Part, entries: number): Promise<void> {
    this.#parts.push(part)
    this.#entries += entries
    if (this.#entries >= this.#entriesAtOnce || this.#parts.length >= foldersAtOnce) await this.#flush()
  }

  async #flush(): Promise<void> {
    const parts = this.#parts
    this.#parts = []
    this.#entries = 0
    const folders = await this.#numbered(parts)
    // What was told of the same folder before may still have to be written.
    const isOfLast = (id: number) => this.#last.some((ids) => ids.has(id))
    if (!this.#isFirst && [...folders.keys()].some(isOfLast)) await this.#writing.at(-1)
    const go = new Go(this.#point, this.#words, this.#sliceBytes)
    const others = new Map<number, ToldPart[]>()
    for (const [folderId, told] of folders) {
      const deltas = this.#isNext && deltaRows(this.#point, told)
      if (deltas) go.addDeltas(told, deltas)
      else others.set(folderId, told)
    }
    const known = this.#isFirst ? undefined : await this.#knownOf([...others.values()].flat())
    for (const [folderId, told] of others) go.addFolder(told, known?.(folderId))
    this.#count -= go.leftOut
    this.#sliceBytes = Math.max(this.#sliceBytes ?? 0, go.slices.length)
    await this.#words.flush()
    this.#last = [...this.#last.slice(-goesAtOnce), go.folders]
    this.#writing.push(
      (this.#writing.at(-1) ?? Promise.resolve()).then(() => writeGo(this.#connection, this.#words, go)),
    )
    // Looked at in its turn; until then a rejection is not an unhandled one.
    this.#writing.at(-1)!.catch(() => undefined)
    if (this.#writing.length > goesAtOnce) await this.#writing.shift()
  }

  /** What the table has of what is told. */
  async #knownOf(parts: readonly ToldPart[]): Promise<(folderId: number) => Known> {
    const places = parts.flatMap(placesOfTold)
    const slices = await readSlices(this.#pool, places)
    const past = new Map<number, Placed[]>()
    if (this.#needsPast)
      for (const version of await readPast(this.#pool, places)) {
        const ofFolder = past.get(version.folderId)
        if (ofFolder) ofFolder.push(version)
        else past.set(version.folderId, [version])
      }
    return (folderId) => ({ slices: slices.get(folderId) ?? [], past: past.get(folderId) ?? [] })
  }

  /** Of folders that were not told the point has nothing. */
  async #endUnseen(): Promise<void> {
    const pieces = piecesOf(this.#connection, this.#point.contextId, {
      withPast: this.#needsPast,
      without: 'file_seen',
    })
    for await (const some of pieces) {
      for (const { folderId, names, ...slices } of some)
        await this.#take({ ...slices, folder: folderId, same: null, entries: [], unnamed: [] }, names)
      // What it looks for next is what is there then.
      await this.#flush()
      await this.#writing.at(-1)
    }
  }

  /** What is told of each folder, by its number, which new ones get here. */
  async #numbered(parts: readonly Part[]): Promise<Map<number, ToldPart[]>> {
    const numbers = await this.#numbersOf(parts)
    const told = new Map<number, ToldPart[]>()
    for (const { folder, ...part } of parts) {
      const folderId = typeof folder === 'number' ? folder : numbers.get(keyOf(part.volumeId, folder))!
      const ofFolder = told.get(folderId)
      if (ofFolder) ofFolder.push({ ...part, folderId })
      else told.set(folderId, [{ ...part, folderId }])
    }
    return told
  }
  async #numbersOf(parts: readonly Part[]): Promise<Map<string, number>> {
    const numbers = new Map<string, number>()
    for (const volumeId of new Set(parts.map((part) => part.volumeId))) {
      const byHash = new Map<string, string>()
      for (const { folder, ...part } of parts)
        if (part.volumeId === volumeId && typeof folder === 'string')
          byHash.set(hashOfFolder(folder).toString('hex'), folder)
      const find = async (hashes: string[]) => {
        if (hashes.length === 0) return
        const [rows] = await this.#pool.query<RowDataPacket[]>(
          'SELECT id, LOWER(HEX(path_hash)) AS hash FROM file_folders WHERE volume_id = ? AND path_hash IN (?)',
          [volumeId, hashes.map((hash) => Buffer.from(hash, 'hex'))],
        )
        for (const { id, hash } of rows) {
          numbers.set(keyOf(volumeId, byHash.get(hash)!), id)
          byHash.delete(hash)
        }
      }
      await find([...byHash.keys()])
      if (byHash.size === 0) continue
      await this.#pool.query('INSERT IGNORE INTO file_folders (volume_id, path_hash, path) VALUES ?', [
        [...byHash].map(([hash, path]) => [volumeId, Buffer.from(hash, 'hex'), path]),
      ])
      await find([...byHash.keys()])
    }
    return numbers
  }
}

const keyOf = (volumeId: number, path: string) => `${volumeId} ${path}`
