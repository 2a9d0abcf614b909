/**
 * Writes the files of one restore point into the index while they are being walked through. What the point has and its neighbours have not becomes a version at once: nobody
 * sees it before the point is said to be indexed. What the point lacks ends in the transaction that says so. What a hub leaves that dies on the way, the next one removes.
 */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import { nameHash, sliceOf, stored } from '../../contract/index-slices.ts'
import type { Database } from '../database.ts'
import { type KnownVolume, keepFingerprints, knownFingerprints } from './file-fingerprints.ts'
import { stillThere } from './file-index.ts'
import { forgetWhatNoPointHas } from './file-index-forget.ts'
import { hashOfFolder } from './file-paths.ts'
import { conditionsOf, type Place, placeOfSlices } from './file-places.ts'
import { WordWriter } from './file-words.ts'
import { columnText, loadRows, Rows } from './load-rows.ts'

/** Entries, and folders, that are compared and written in one go. */
const entriesOfOneGo = 10_000
const foldersAtOnce = 2_000
/** Goes that may wait to be written: now the server is slower for a moment, now who compares. */
const goesAtOnce = 4
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
/** What is written at once: numbers of folders, and rows. */
type Go = { folders: number[]; versions: Buffer } & Record<'changes' | 'gone' | 'earlier' | 'seen', string[]>
type Part = Omit<IndexedFolder, 'fingerprints'> & { volumeId: number; path: string }
export class FileIndexWriter {
  /** What needs not be told again. */
  readonly known: readonly KnownVolume[]
  readonly #pool: Database['pool']
  readonly #connection: PoolConnection
  readonly #point: IndexPoint
  readonly #entriesAtOnce: number
  #parts: Part[] = []
  #entries = 0
  #count = 0
  /** Of each volume. */
  readonly #fingerprints = new Map<number, Buffer[]>()
  readonly #words: WordWriter
  /** Most that a go had. */
  #versionBytes: number | undefined
  /** What is being written, one go after the other, while the next one is compared. */
  readonly #writing: Promise<void>[] = []

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
      // Those of the newest point say nothing of an older one.
      const known =
        before === undefined || after !== undefined ? [] : await knownFingerprints(connection, contextId, before)
      return new FileIndexWriter(pool, connection, point, known, entriesAtOnce)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }
  private constructor(
    pool: Database['pool'],
    connection: PoolConnection,
    point: IndexPoint,
    known: readonly KnownVolume[],
    entriesAtOnce: number,
  ) {
    this.known = known
    this.#entriesAtOnce = entriesAtOnce
    this.#pool = pool
    this.#words = new WordWriter(pool)
    this.#connection = connection
    this.#point = point
  }

  /** Of entries. */
  get count() {
    return this.#count
  }

  async add(volumeId: number, { fingerprints, ...line }: IndexedFolder): Promise<void> {
    const path = stored(line.folder)
    if (path.length > folderLengthMax) return
    this.#parts.push({ ...line, volumeId, path })
    this.#entries += line.entries.length
    this.#count += line.entries.length + (line.same ?? 0)
    const own = Buffer.from(fingerprints, 'base64')
    const all = this.#fingerprints.get(volumeId)
    if (all) all.push(own)
    else this.#fingerprints.set(volumeId, [own])
    if (this.#entries >= this.#entriesAtOnce || this.#parts.length >= foldersAtOnce) await this.#flush()
  }

  /** @param finish what belongs into the same transaction */
  async commit(finish: (query: PoolConnection['query']) => Promise<void>): Promise<void> {
    await this.#flush()
    await this.#writing.at(-1)
    await this.#words.end()
    // A reader that tells a folder twice has told nonsense, and fails nothing: IGNORE.
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
        `INSERT IGNORE INTO file_versions SELECT v.folder_id, v.name_hash, v.name, v.kind, v.size, v.modified, :after, v.last_at
         FROM ${gone} WHERE ${there} AND v.last_at > :after`,
      )
      await run(`UPDATE ${gone} SET v.last_at = :at WHERE ${there}`)
      await run(
        `UPDATE IGNORE file_earlier e JOIN file_versions v ON v.folder_id = e.folder_id AND v.name_hash = e.name_hash SET v.first_at = :at WHERE v.first_at = :after`,
      )
      const isChanged = (point: string, of: string) =>
        run(
          `INSERT IGNORE INTO file_changes SELECT f.volume_id, ${point}, n.folder_id, n.name_hash FROM ${of} n JOIN file_folders f ON f.id = n.folder_id`,
        )
      await isChanged(':at', 'file_gone')
      await isChanged(':at', 'file_earlier')
      if (this.#point.after !== undefined) await isChanged(':after', 'file_gone')
      // The next one was the oldest: now it differs from one before it.
      if (this.#point.before === undefined && this.#point.after !== undefined)
        await run(
          `INSERT IGNORE INTO file_changes SELECT o.id, :after, v.folder_id, v.name_hash
           FROM file_volumes o JOIN file_folders f ON f.volume_id = o.id JOIN file_versions v ON v.folder_id = f.id
           WHERE o.vm_backup_context_id = :contextId AND v.first_at = :after`,
        )
      if (this.#point.after === undefined) await keepFingerprints(this.#connection, at, this.#fingerprints)
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
    const folders = await this.#numbersOf(parts)
    const places = parts.flatMap((part) => placeOf(part, folders.get(keyOf(part))!))
    const { at, before, after } = this.#point
    const isFirst = before === undefined && after === undefined
    /** What the point before has of what is told, and whether this point has it, too. */
    const known = new Map<string, boolean>()
    /** Folders and hashes of its names: their words are found already. */
    const named = new Set<string>()
    if (before !== undefined)
      for (const entry of await this.#entriesOf(places, `first_at <= ${before} AND last_at > ${at}`)) {
        known.set(entry, false)
        named.add(nameOf(entry))
      }
    /** What the next point has of them, and the one before has not. */
    const later = new Set(after === undefined ? [] : await this.#entriesOf(places, `first_at = ${after}`))
    const versions = new Rows(this.#versionBytes)
    const changes: string[] = []
    const earlier: string[] = []
    const seen: string[] = []
    for (const part of parts) {
      const { volumeId, bits, to, entries } = part
      const folderId = folders.get(keyOf(part))!
      const own = inOrder(part)
      this.#count -= entries.length - own.length
      for (const { name, hash, kind, size, modified } of own) {
        const entry = isFirst ? '' : `${folderId} ${hash} ${kind} ${size} ${modified}`
        if (known.has(entry)) known.set(entry, true)
        else if (later.has(entry)) earlier.push(`${folderId}\t${hash}`)
        else {
          versions.add(`${folderId}\t${hash}\t${columnText(name)}\t${kind}\t${size}\t${modified}`)
          if (before !== undefined) changes.push(`${volumeId}\t${at}\t${folderId}\t${hash}`)
          if (after !== undefined) changes.push(`${volumeId}\t${after}\t${folderId}\t${hash}`)
          if (isFirst || !named.has(`${folderId} ${hash}`)) this.#words.add(name, folderId, hash, bits)
        }
      }
      if (to === 2 ** bits) seen.push(`${folderId}`)
    }
    const gone: string[] = []
    for (const [entry, isThere] of known) if (!isThere) gone.push(nameOf(entry).replace(' ', '\t'))
    await this.#words.flush()
    this.#versionBytes = Math.max(this.#versionBytes ?? 0, versions.length)
    const go = { folders: [...new Set(folders.values())], versions: versions.bytes, changes, gone, earlier, seen }
    this.#writing.push((this.#writing.at(-1) ?? Promise.resolve()).then(() => this.#write(go)))
    // Looked at in its turn; until then a rejection is not an unhandled one.
    this.#writing.at(-1)!.catch(() => undefined)
    if (this.#writing.length > goesAtOnce) await this.#writing.shift()
  }

  async #write({ folders, versions, changes, gone, earlier, seen }: Go) {
    const { at, after = stillThere } = this.#point
    const names = ['folder_id', 'name_hash']
    await this.#connection.beginTransaction()
    await loadRows(this.#connection, { table: 'file_changes', columns: ['volume_id', 'at', ...names] }, changes)
    await this.#holdFolders(folders)
    await this.#connection.query('SET foreign_key_checks = 0')
    await loadRows(
      this.#connection,
      {
        table: 'file_versions',
        columns: [...names, 'name', 'kind', 'size', 'modified'],
        set: `SET first_at = ${at}, last_at = ${after}`,
      },
      versions,
    )
    await this.#connection.query('SET foreign_key_checks = 1')
    await loadRows(this.#connection, { table: 'file_gone', columns: names }, gone)
    await loadRows(this.#connection, { table: 'file_earlier', columns: names }, earlier)
    await loadRows(this.#connection, { table: 'file_seen', columns: ['folder_id'] }, seen)
    await this.#connection.commit()
  }
  /** Looks once for each folder whether it is there, and keeps it there; looking for each of its files takes a fifth of the time. */
  async #holdFolders(ids: number[]): Promise<void> {
    if (ids.length === 0) return
    const [rows] = await this.#connection.query<RowDataPacket[]>(
      'SELECT id FROM file_folders WHERE id IN (?) LOCK IN SHARE MODE',
      [ids],
    )
    if (rows.length < ids.length) throw new HubError('BACKUP_NOT_FOUND', 'The backup was deleted')
  }

  /** @param condition of versions @returns folder, hash of the name, kind, size and time of each, with a space between them */
  async #entriesOf(places: readonly Place[], condition: string): Promise<string[]> {
    const found: string[] = []
    for (const place of conditionsOf(places)) {
      const sql = `SELECT CONCAT_WS(' ', v.folder_id, v.name_hash, v.kind, v.size, v.modified) FROM file_versions v WHERE ${place} AND ${condition}`
      const [rows] = await this.#pool.query<[string][] & RowDataPacket[][]>({ sql, rowsAsArray: true })
      for (const [entry] of rows) found.push(entry)
    }
    return found
  }

  /** Numbers of folders by keyOf, which new ones get here. */
  async #numbersOf(parts: readonly Part[]): Promise<Map<string, number>> {
    const numbers = new Map<string, number>()
    for (const volumeId of new Set(parts.map((part) => part.volumeId))) {
      const paths = parts.filter((part) => part.volumeId === volumeId).map(({ path }) => path)
      const byHash = new Map(paths.map((path) => [hashOfFolder(path).toString('hex'), path]))
      const find = async (hashes: Iterable<string>) => {
        const [rows] = await this.#pool.query<RowDataPacket[]>(
          'SELECT id, LOWER(HEX(path_hash)) AS hash FROM file_folders WHERE volume_id = ? AND path_hash IN (?)',
          [volumeId, [...hashes].map((hash) => Buffer.from(hash, 'hex'))],
        )
        for (const { id, hash } of rows) {
          numbers.set(keyOf({ volumeId, path: byHash.get(hash)! }), id)
          byHash.delete(hash)
        }
      }
      await find(byHash.keys())
      if (byHash.size === 0) continue
      await this.#pool.query('INSERT IGNORE INTO file_folders (volume_id, path_hash, path) VALUES ?', [
        [...byHash].map(([hash, path]) => [volumeId, Buffer.from(hash, 'hex'), path]),
      ])
      await find([...byHash.keys()])
    }
    return numbers
  }
}

const keyOf = ({ volumeId, path }: Pick<Part, 'volumeId' | 'path'>) => `${volumeId} ${path}`

type Row = { name: string; hash: number; kind: IndexedEntry[1]; size: number; modified: number }
/** Entries in the order in which the table has them: so they are written side by side. What can not be in these slices is left out. */
const inOrder = ({ bits, from, to, entries }: Part): Row[] => {
  const rows: Row[] = []
  for (const [said, kind, size, modified] of entries) {
    const name = stored(said)
    const hash = nameHash(name)
    const slice = sliceOf(hash, bits)
    if (name.length <= nameLengthMax && slice >= from && slice < to) rows.push({ name, hash, kind, size, modified })
  }
  return rows.sort((a, b) => a.hash - b.hash)
}

/** Folder and hash of an entry as #entriesOf gives it. */
const nameOf = (entry: string) => entry.slice(0, entry.indexOf(' ', entry.indexOf(' ') + 1))

/** Where the table has what is to be compared of a part. */
const placeOf = ({ bits, from, to, same, entries }: Part, folderId: number): Place[] => {
  if (same === null) return [placeOfSlices(folderId, bits, from, to)]
  return entries.length === 0 ? [] : [{ folderId, each: entries.map(([said]) => nameHash(stored(said))) }]
}
