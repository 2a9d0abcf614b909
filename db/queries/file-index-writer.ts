/**
 * Writes the files of one restore point into the index while they are being walked through. What the point has and its neighbours have not becomes a version at once: nobody
 * sees it before the point is said to be indexed. What the point lacks ends in the transaction that says so. What a hub leaves that dies on the way, the next one removes.
 */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { IndexedFolder } from '../../contract/agent.ts'
import { wordsOf } from '../../contract/names.ts'
import type { Database } from '../database.ts'
import { stillThere } from './file-index.ts'
import { forgetWhatNoPointHas } from './file-index-forget.ts'
import { hashOfFolder, hashOfName, stored } from './file-paths.ts'
import { columnText, loadRows } from './load-rows.ts'

/** Entries, and folders, that are compared and written in one go. */
const entriesOfOneGo = 10_000
const foldersAtOnce = 2_000
/** Words of one go: sorted they lie together, and more of them lie closer. */
const wordsAtOnce = 300_000
/** Names whose words are known to be written; of the others they are written again. */
const namesMax = 200_000
const wordsMax = 12
/** Of the columns; longer than any that a path of 4096 bytes has. */
const [folderLengthMax, nameLengthMax] = [5500, 1400]

const temporaryTables = {
  file_gone: '(folder_id INT NOT NULL, name_hash BIGINT NOT NULL, PRIMARY KEY (folder_id, name_hash))',
  file_earlier: '(folder_id INT NOT NULL, name_hash BIGINT NOT NULL, PRIMARY KEY (folder_id, name_hash))',
  file_seen: '(folder_id INT NOT NULL PRIMARY KEY)',
}

export type IndexPoint = {
  contextId: string
  /** When it was completed. */
  at: number
  /** Of the indexed points before and after it. */
  before: number | undefined
  after: number | undefined
}
/** A folder that has been begun. Its entries by what they are known by: hash of the name, kind, size and time. */
type OpenFolder = {
  id: number
  /** What the point before has of it, and whether this point has it, too. */
  known: Map<string, boolean>
  /** What the next point has, and the one before has not. */
  later: Set<string>
}
type Part = IndexedFolder & { volumeId: number; path: string; key: string }

export class FileIndexWriter {
  readonly #pool: Database['pool']
  readonly #connection: PoolConnection
  readonly #point: IndexPoint
  readonly #entriesAtOnce: number
  readonly #open = new Map<string, OpenFolder>()
  readonly #named = new Set<string>()
  #parts: Part[] = []
  #entries = 0
  #count = 0
  readonly #words = new Map<string, string[]>()
  #wordCount = 0
  /** What is being written of both, each over a connection of its own; at most one go of it, while the next one is compared. */
  #writing: Promise<void> = Promise.resolve()
  #writingWords: Promise<void> = Promise.resolve()

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
    const point = { contextId, at, before, after }
    const connection = await pool.getConnection()
    try {
      for (const [name, columns] of Object.entries(temporaryTables)) {
        await connection.query(`DROP TEMPORARY TABLE IF EXISTS ${name}`)
        await connection.query(`CREATE TEMPORARY TABLE ${name} ${columns}`)
      }
      await forgetWhatNoPointHas(connection, point, points)
      return new FileIndexWriter(pool, connection, point, entriesAtOnce)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }
  private constructor(pool: Database['pool'], connection: PoolConnection, point: IndexPoint, entriesAtOnce: number) {
    this.#entriesAtOnce = entriesAtOnce
    this.#pool = pool
    this.#connection = connection
    this.#point = point
  }

  /** Of entries. */
  get count() {
    return this.#count
  }

  async add(volumeId: number, line: IndexedFolder): Promise<void> {
    const path = stored(line.folder)
    if (path.length > folderLengthMax) return
    this.#parts.push({ ...line, volumeId, path, key: `${volumeId} ${path}` })
    this.#entries += line.entries.length
    this.#count += line.entries.length
    if (this.#entries >= this.#entriesAtOnce || this.#parts.length >= foldersAtOnce) await this.#flush()
  }

  /** @param finish what belongs into the same transaction */
  async commit(finish: (query: PoolConnection['query']) => Promise<void>): Promise<void> {
    await this.#flush()
    await this.#writing
    await this.#beginWords()
    await this.#writingWords
    const { contextId, at, before = -1, after = stillThere } = this.#point
    const run = (sql: string) =>
      this.#connection.query({ sql, namedPlaceholders: true } as never, { contextId, at, before, after })
    // Where a deleted point lies between, what it lacked has ended there.
    const there = 'v.first_at <= :before AND v.last_at > :at'
    await this.#connection.beginTransaction()
    try {
      await run(
        `INSERT IGNORE INTO file_gone SELECT v.folder_id, v.name_hash
         FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id LEFT JOIN file_seen s ON s.folder_id = f.id JOIN file_versions v ON v.folder_id = f.id
         WHERE o.vm_backup_context_id = :contextId AND s.folder_id IS NULL AND ${there}`,
      )
      // What the next point has again begins there anew.
      const gone = 'file_gone g JOIN file_versions v ON v.folder_id = g.folder_id AND v.name_hash = g.name_hash'
      await run(
        `INSERT INTO file_versions SELECT v.volume_id, v.folder_id, v.name_hash, v.name, v.kind, v.size, v.modified, :after, v.last_at
         FROM ${gone} WHERE ${there} AND v.last_at > :after`,
      )
      await run(`UPDATE ${gone} SET v.last_at = :at WHERE ${there}`)
      await run(
        `UPDATE file_earlier e JOIN file_versions v ON v.folder_id = e.folder_id AND v.name_hash = e.name_hash SET v.first_at = :at WHERE v.first_at = :after`,
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
      await this.#writing.catch(() => undefined)
      await this.#writingWords.catch(() => undefined)
      for (const name of Object.keys(temporaryTables))
        await this.#connection.query(`DROP TEMPORARY TABLE IF EXISTS ${name}`)
      this.#connection.release()
    } catch {
      this.#connection.destroy()
    }
  }

  async #flush(): Promise<void> {
    const parts = this.#parts
    this.#parts = []
    this.#entries = 0
    await this.#openFolders(parts)
    const versions: string[] = []
    const gone: string[] = []
    const earlier: string[] = []
    const seen: string[] = []
    for (const { volumeId, key, entries, isWhole } of parts) {
      const folder = this.#open.get(key)
      // Told once more after all of it had been told.
      if (!folder) continue
      for (const [said, kind, size, modified] of entries) {
        const name = stored(said)
        if (name.length > nameLengthMax) {
          this.#count--
          continue
        }
        const hash = hashOfName(name)
        const entry = `${hash} ${kind} ${size} ${modified}`
        if (folder.known.has(entry)) folder.known.set(entry, true)
        else if (folder.later.has(entry)) earlier.push(`${folder.id}\t${hash}`)
        else {
          versions.push(`${volumeId}\t${folder.id}\t${hash}\t${columnText(name)}\t${kind}\t${size}\t${modified}`)
          this.#addWords(name, hash)
        }
      }
      if (!isWhole) continue
      for (const [entry, isThere] of folder.known)
        if (!isThere) gone.push(`${folder.id}\t${entry.slice(0, entry.indexOf(' '))}`)
      seen.push(`${folder.id}`)
      this.#open.delete(key)
    }
    if (this.#wordCount >= wordsAtOnce) await this.#beginWords()
    await this.#writing
    this.#writing = this.#write(versions, gone, earlier, seen)
    // Looked at in its turn; until then a rejection is not an unhandled one.
    this.#writing.catch(() => undefined)
  }

  async #write(versions: string[], gone: string[], earlier: string[], seen: string[]): Promise<void> {
    const { at, after = stillThere } = this.#point
    const names = ['folder_id', 'name_hash']
    await loadRows(
      this.#connection,
      {
        table: 'file_versions',
        columns: ['volume_id', 'folder_id', 'name_hash', 'name', 'kind', 'size', 'modified'],
        set: `SET first_at = ${at}, last_at = ${after}`,
      },
      versions,
    )
    await loadRows(this.#connection, { table: 'file_gone', columns: names }, gone)
    await loadRows(this.#connection, { table: 'file_earlier', columns: names }, earlier)
    await loadRows(this.#connection, { table: 'file_seen', columns: ['folder_id'] }, seen)
  }

  #addWords(name: string, hash: string): void {
    if (this.#named.has(hash)) return
    if (this.#named.size >= namesMax) this.#named.clear()
    this.#named.add(hash)
    for (const word of wordsOf(name, wordsMax)) {
      const hashes = this.#words.get(word)
      if (hashes) hashes.push(hash)
      else this.#words.set(word, [hash])
      this.#wordCount++
    }
  }
  async #beginWords(): Promise<void> {
    const rows = [...this.#words.keys()]
      .sort()
      .flatMap((word) => this.#words.get(word)!.map((hash) => `${word}\t${hash}`))
    this.#words.clear()
    this.#wordCount = 0
    await this.#writingWords
    this.#writingWords = this.#writeWords(rows)
    this.#writingWords.catch(() => undefined)
  }
  async #writeWords(rows: readonly string[]): Promise<void> {
    const connection = await this.#pool.getConnection()
    try {
      await loadRows(connection, { table: 'file_words', columns: ['word', 'name_hash'] }, rows)
    } finally {
      connection.release()
    }
  }

  /** Finds out of folders that have not been begun yet what the neighbouring points have of them. */
  async #openFolders(parts: readonly Part[]): Promise<void> {
    const fresh = new Map(parts.filter(({ key }) => !this.#open.has(key)).map((part) => [part.key, part]))
    for (const volumeId of new Set(parts.map((part) => part.volumeId))) {
      const folders = [...fresh.values()].filter((part) => part.volumeId === volumeId)
      if (folders.length === 0) continue
      const numbers = await this.#numbersOf(
        volumeId,
        folders.map(({ path }) => path),
      )
      const byId = new Map<string, OpenFolder>()
      for (const { key, path } of folders) {
        const folder = { id: numbers.get(path)!, known: new Map(), later: new Set<string>() }
        this.#open.set(key, folder)
        byId.set(String(folder.id), folder)
      }
      const { at, before, after } = this.#point
      if (before !== undefined)
        for (const [id, entry] of await this.#entriesOf(byId, 'first_at <= ? AND last_at > ?', [before, at]))
          byId.get(id)!.known.set(entry, false)
      if (after !== undefined)
        for (const [id, entry] of await this.#entriesOf(byId, 'first_at = ?', [after])) byId.get(id)!.later.add(entry)
    }
  }

  async #entriesOf(
    folders: ReadonlyMap<string, OpenFolder>,
    condition: string,
    values: readonly number[],
  ): Promise<[id: string, entry: string][]> {
    const sql = `SELECT CONCAT_WS(' ', folder_id, name_hash, kind, size, modified) FROM file_versions WHERE folder_id IN (?) AND ${condition}`
    const ids = [...folders.values()].map(({ id }) => id)
    const [rows] = await this.#pool.query<[string][] & RowDataPacket[][]>({ sql, rowsAsArray: true }, [ids, ...values])
    return rows.map(([row]) => {
      const space = row.indexOf(' ')
      return [row.slice(0, space), row.slice(space + 1)]
    })
  }

  /** Numbers of folders, which new ones get here. */
  async #numbersOf(volumeId: number, paths: readonly string[]): Promise<Map<string, number>> {
    const byHash = new Map(paths.map((path) => [hashOfFolder(path).toString('hex'), path]))
    const numbers = new Map<string, number>()
    const find = async (hashes: Iterable<string>) => {
      const [rows] = await this.#pool.query<RowDataPacket[]>(
        'SELECT id, LOWER(HEX(path_hash)) AS hash FROM file_folders WHERE volume_id = ? AND path_hash IN (?)',
        [volumeId, [...hashes].map((hash) => Buffer.from(hash, 'hex'))],
      )
      for (const { id, hash } of rows) numbers.set(byHash.get(hash)!, id)
    }
    await find(byHash.keys())
    const fresh = [...byHash].filter(([, path]) => !numbers.has(path))
    if (fresh.length > 0) {
      await this.#pool.query('INSERT IGNORE INTO file_folders (volume_id, path_hash, path) VALUES ?', [
        fresh.map(([hash, path]) => [volumeId, Buffer.from(hash, 'hex'), path]),
      ])
      await find(fresh.map(([hash]) => hash))
    }
    return numbers
  }
}
