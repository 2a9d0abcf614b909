/**
 * Writes the files of one restore point into the index. They are gathered in a table of this connection alone first; then, in one transaction, what the point has and
 * its neighbours have not becomes a version, and what it lacks ends. So a hub that dies on the way has changed nothing.
 */
import { createHash } from 'node:crypto'
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { IndexedEntry } from '../../contract/agent.ts'
import { wordsOf } from '../../contract/names.ts'
import type { Database } from '../database.ts'
import { stillThere } from './file-index.ts'

/** Rows of one statement: longer ones gain nothing. */
const rowsAtOnce = 2_000
/** Names that are remembered with their numbers; the others are asked for again. */
const namesMax = 200_000
const nameLengthMax = 255
const wordsMax = 12

const collation = 'CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin'
const staging = `CREATE TEMPORARY TABLE file_staging (
  volume_id INT NOT NULL, path_hash BINARY(16) NOT NULL, path VARCHAR(5500) ${collation} NOT NULL, name_id INT NOT NULL,
  kind ENUM('f', 'd', 'l', 'o') NOT NULL, size BIGINT NOT NULL, modified BIGINT NOT NULL, KEY (volume_id, path_hash)
)`

/** What stands for a path in the table: itself, or its bytes as base64 behind a NUL, which no path holds. */
export const storedPath = (path: IndexedEntry[0]): string => (typeof path === 'string' ? path : `\0${path.b64}`)
export const hashOfPath = (path: IndexedEntry[0]): Buffer =>
  createHash('sha256')
    .update(typeof path === 'string' ? path : Buffer.from(path.b64, 'base64'))
    .digest()
    .subarray(0, 16)
const nameOf = (path: IndexedEntry[0]): string => {
  const text = typeof path === 'string' ? path : Buffer.from(path.b64, 'base64').toString('utf8')
  return text.slice(text.lastIndexOf('/') + 1, text.length).slice(0, nameLengthMax)
}

type Point = {
  contextId: string
  at: number /** Of the indexed points before and after it. */
  before: number | undefined
  after: number | undefined
}

export class FileIndexWriter {
  readonly #connection: PoolConnection
  readonly #names = new Map<string, number>()
  #rows: { volumeId: number; entry: IndexedEntry }[] = []
  #count = 0

  static async open({ pool }: Pick<Database, 'pool'>): Promise<FileIndexWriter> {
    const connection = await pool.getConnection()
    try {
      await connection.query('DROP TEMPORARY TABLE IF EXISTS file_staging')
      await connection.query(staging)
      return new FileIndexWriter(connection)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }
  private constructor(connection: PoolConnection) {
    this.#connection = connection
  }

  get count() {
    return this.#count
  }

  async add(volumeId: number, entry: IndexedEntry): Promise<void> {
    this.#rows.push({ volumeId, entry })
    this.#count++
    if (this.#rows.length >= rowsAtOnce) await this.#flush()
  }

  /** @param finish what belongs into the same transaction */
  async commit(point: Point, finish: (query: PoolConnection['query']) => Promise<void>): Promise<void> {
    await this.#flush()
    const { contextId, at, before = -1, after = stillThere } = point
    const values = { contextId, at, before, after }
    const run = (sql: string) => this.#connection.query({ sql, namedPlaceholders: true } as never, values)
    const same = `s.volume_id = v.volume_id AND s.path_hash = v.path_hash AND s.kind = v.kind AND s.size = v.size AND s.modified = v.modified`
    const own = `v.volume_id IN (SELECT id FROM file_volumes WHERE vm_backup_context_id = :contextId)`
    const wasThere = `v.first_at <= :before AND v.last_at > :before`
    const ofNoPoint = `${own} AND NOT EXISTS (SELECT 1 FROM file_indexes i WHERE i.vm_backup_context_id = :contextId
      AND i.status = 'completed' AND i.point_at >= v.first_at AND i.point_at < v.last_at)`
    await this.#connection.beginTransaction()
    try {
      // Points that were deleted must not be taken for this one: what they alone had goes, and what the next point has, too, begins there.
      await run(`DELETE v FROM file_versions v WHERE ${ofNoPoint} AND v.last_at < ${stillThere}`)
      await run(`DELETE v FROM file_versions v WHERE ${ofNoPoint} AND v.first_at > :before`)
      await run(
        `UPDATE file_versions v SET v.first_at = :after WHERE ${own} AND v.first_at > :before AND v.first_at < :after AND v.last_at > :after`,
      )
      // What the point lacks ends before it. Where the next point has it again, it begins there anew.
      const lacking = `FROM file_versions v LEFT JOIN file_staging s ON ${same} WHERE ${own} AND ${wasThere} AND v.last_at > :at AND s.volume_id IS NULL`
      await run(
        `INSERT INTO file_versions (volume_id, path_hash, path, name_id, kind, size, modified, first_at, last_at)
         SELECT v.volume_id, v.path_hash, v.path, v.name_id, v.kind, v.size, v.modified, :after, v.last_at ${lacking} AND v.last_at > :after`,
      )
      await run(
        `UPDATE file_versions v LEFT JOIN file_staging s ON ${same} SET v.last_at = :at
         WHERE ${own} AND ${wasThere} AND v.last_at > :at AND s.volume_id IS NULL`,
      )
      // What the point before lacks and the next one has from there on begins here.
      // Versions first, of which there are few: the server knows nothing of the staging table, and would compare each row of one with each of the other.
      if (after !== stillThere)
        await run(
          `UPDATE file_versions v STRAIGHT_JOIN file_staging s ON ${same} SET v.first_at = :at WHERE ${own} AND v.first_at = :after`,
        )
      await run(
        `INSERT INTO file_versions (volume_id, path_hash, path, name_id, kind, size, modified, first_at, last_at)
         SELECT s.volume_id, s.path_hash, s.path, s.name_id, s.kind, s.size, s.modified, :at, :after
         FROM file_staging s LEFT JOIN file_versions v FORCE INDEX (file_versions_path) ON ${same} AND v.first_at <= :at AND v.last_at > :at WHERE v.id IS NULL`,
      )
      await finish(this.#connection.query.bind(this.#connection))
      await this.#connection.commit()
    } catch (error) {
      await this.#connection.rollback().catch(() => undefined)
      throw error
    }
  }

  async close(): Promise<void> {
    try {
      await this.#connection.query('DROP TEMPORARY TABLE IF EXISTS file_staging')
      this.#connection.release()
    } catch {
      this.#connection.destroy()
    }
  }

  async #flush(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    if (rows.length === 0) return
    const named = rows.map(({ volumeId, entry }) => ({ volumeId, entry, name: nameOf(entry[0]) }))
    await this.#number(new Set(named.map(({ name }) => name)))
    await this.#connection.query('INSERT INTO file_staging VALUES ?', [
      named.map(({ volumeId, entry: [path, kind, size, modified], name }) => [
        volumeId,
        hashOfPath(path),
        storedPath(path),
        this.#names.get(name)!,
        kind,
        size,
        modified,
      ]),
    ])
    if (this.#names.size > namesMax) this.#names.clear()
  }

  /** Numbers names, and makes new ones known with their words. */
  async #number(names: ReadonlySet<string>): Promise<void> {
    const unknown = [...names].filter((name) => !this.#names.has(name))
    if (unknown.length === 0) return
    const known = await this.#numbersOf(unknown)
    const fresh = unknown.filter((name) => !known.has(name))
    if (fresh.length > 0) {
      await this.#connection.query('INSERT IGNORE INTO file_names (name) VALUES ?', [fresh.map((name) => [name])])
      const numbers = await this.#numbersOf(fresh)
      const words = fresh.flatMap((name) => wordsOf(name, wordsMax).map((word) => [word, numbers.get(name)]))
      if (words.length > 0)
        await this.#connection.query('INSERT IGNORE INTO file_words (word, name_id) VALUES ?', [words])
      for (const [name, number] of numbers) this.#names.set(name, number)
    }
    for (const [name, number] of known) this.#names.set(name, number)
  }

  async #numbersOf(names: readonly string[]): Promise<Map<string, number>> {
    const [rows] = await this.#connection.query<RowDataPacket[]>('SELECT id, name FROM file_names WHERE name IN (?)', [
      names,
    ])
    return new Map(rows.map(({ id, name }) => [name as string, id as number]))
  }
}
