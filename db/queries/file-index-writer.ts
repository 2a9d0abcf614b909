/**
 * Writes the files of one restore point into the index while they are being walked through. What the point has and its neighbours have not becomes a version at once: nobody
 * sees it before the point is said to be indexed. What the point lacks ends in the transaction that says so. What a hub leaves that dies on the way, the next one removes.
 */
import type { PoolConnection, RowDataPacket } from 'mysql2/promise'
import type { IndexedFolder } from '../../contract/agent.ts'
import { hasMark, nameHash, sliceOf, stored } from '../../contract/index-slices.ts'
import { wordsOf } from '../../contract/names.ts'
import type { Database } from '../database.ts'
import { stillThere } from './file-index.ts'
import { forgetWhatNoPointHas } from './file-index-forget.ts'
import { keepMarks, knownMarks, type VolumeMarks } from './file-marks.ts'
import { hashOfFolder, inColumn } from './file-paths.ts'
import { columnText, loadRows } from './load-rows.ts'

/** Entries, and folders, that are compared and written in one go. */
const entriesOfOneGo = 10_000
const foldersAtOnce = 2_000
/** Places of the table that are asked of at once. */
const stretchesAtOnce = 500
/** Words of one go: sorted they lie together, and more of them lie closer. */
const wordsAtOnce = 300_000
/** Names whose words are known to be written; of the others they are written again. */
const namesMax = 200_000
const wordsMax = 12
const noMarks = Buffer.alloc(0)
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
type Part = IndexedFolder & {
  volumeId: number
  path: string
  /** Of each of its slices: whether it is to be compared. */
  isFresh: boolean[]
}
/** Slices of a folder one after the other: with hashes of names from one to another, or all of it. */
type Stretch = { folderId: number; hashes: [least: bigint, most: bigint] | undefined }

export class FileIndexWriter {
  /** What needs not be told again. */
  readonly known: readonly VolumeMarks[]
  readonly #known: ReadonlyMap<number, Buffer>
  readonly #pool: Database['pool']
  readonly #connection: PoolConnection
  readonly #point: IndexPoint
  readonly #entriesAtOnce: number
  readonly #named = new Set<string>()
  #parts: Part[] = []
  #entries = 0
  #count = 0
  /** Of the slices of each volume. */
  readonly #marks = new Map<number, string[]>()
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
      // Those of the newest point say nothing of an older one.
      const known = before === undefined || after !== undefined ? [] : await knownMarks(connection, contextId, before)
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
    known: readonly VolumeMarks[],
    entriesAtOnce: number,
  ) {
    this.known = known
    this.#known = new Map(known.map(({ volumeId, marks }) => [volumeId, marks]))
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
    const known = this.#known.get(volumeId) ?? noMarks
    const isFresh = line.marks.map((mark) => !hasMark(known, Buffer.from(mark, 'hex')))
    this.#parts.push({ ...line, volumeId, path, isFresh })
    this.#entries += line.entries.length
    this.#count += line.entries.length + line.same
    const marks = this.#marks.get(volumeId)
    if (marks) for (const mark of line.marks) marks.push(mark)
    else this.#marks.set(volumeId, [...line.marks])
    if (this.#entries >= this.#entriesAtOnce || this.#parts.length >= foldersAtOnce) await this.#flush()
  }

  /** @param finish what belongs into the same transaction */
  async commit(finish: (query: PoolConnection['query']) => Promise<void>): Promise<void> {
    await this.#flush()
    await this.#writing
    await this.#beginWords()
    await this.#writingWords
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
        `INSERT IGNORE INTO file_versions SELECT v.volume_id, v.folder_id, v.name_hash, v.name, v.kind, v.size, v.modified, :after, v.last_at
         FROM ${gone} WHERE ${there} AND v.last_at > :after`,
      )
      await run(`UPDATE ${gone} SET v.last_at = :at WHERE ${there}`)
      await run(
        `UPDATE IGNORE file_earlier e JOIN file_versions v ON v.folder_id = e.folder_id AND v.name_hash = e.name_hash SET v.first_at = :at WHERE v.first_at = :after`,
      )
      if (this.#point.after === undefined) await keepMarks(this.#connection, at, this.#marks)
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
    const folders = await this.#numbersOf(parts)
    const stretches = parts.flatMap((part) => stretchesOf(part, folders.get(keyOf(part))!))
    const { at, before, after } = this.#point
    /** What the point before has of these slices, and whether this point has it, too. */
    const known = new Map<string, boolean>()
    if (before !== undefined)
      for (const entry of await this.#entriesOf(stretches, `first_at <= ${before} AND last_at > ${at}`))
        known.set(entry, false)
    /** What the next point has of them, and the one before has not. */
    const later = new Set(after === undefined ? [] : await this.#entriesOf(stretches, `first_at = ${after}`))
    const versions: string[] = []
    const earlier: string[] = []
    const seen: string[] = []
    for (const part of parts) {
      const { volumeId, bits, from, marks, isFresh, entries } = part
      const folderId = folders.get(keyOf(part))!
      for (const [said, kind, size, modified] of entries) {
        const name = stored(said)
        const hash = nameHash(name)
        if (name.length > nameLengthMax || !isFresh[sliceOf(hash, bits) - from]) {
          this.#count--
          continue
        }
        const number = inColumn(hash)
        const entry = `${folderId} ${number} ${kind} ${size} ${modified}`
        if (known.has(entry)) known.set(entry, true)
        else if (later.has(entry)) earlier.push(`${folderId}\t${number}`)
        else {
          versions.push(`${volumeId}\t${folderId}\t${number}\t${columnText(name)}\t${kind}\t${size}\t${modified}`)
          this.#addWords(name, number)
        }
      }
      if (from + marks.length === 2 ** bits) seen.push(`${folderId}`)
    }
    const gone: string[] = []
    for (const [entry, isThere] of known) if (!isThere) gone.push(entry.split(' ', 2).join('\t'))
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

  /** @param condition of versions @returns folder, hash of the name, kind, size and time of each, with a space between them */
  async #entriesOf(stretches: readonly Stretch[], condition: string): Promise<string[]> {
    const found: string[] = []
    for (let at = 0; at < stretches.length; at += stretchesAtOnce) {
      const some = stretches.slice(at, at + stretchesAtOnce)
      const whole = some.filter(({ hashes }) => hashes === undefined).map(({ folderId }) => folderId)
      const places = some.flatMap(({ folderId, hashes }) =>
        hashes ? [`(folder_id = ${folderId} AND name_hash BETWEEN ${hashes.join(' AND ')})`] : [],
      )
      if (whole.length > 0) places.push(`folder_id IN (${whole})`)
      const sql = `SELECT CONCAT_WS(' ', folder_id, name_hash, kind, size, modified) FROM file_versions WHERE (${places.join(' OR ')}) AND ${condition}`
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

/** Where the table has what is to be compared of a part. */
const stretchesOf = ({ bits, from, isFresh }: Part, folderId: number): Stretch[] => {
  // Slices of the upper half come before those of the lower one: the column's numbers have a sign.
  const [end, half] = [2 ** bits, 2 ** bits / 2]
  if (isFresh.length === end && isFresh.every(Boolean)) return [{ folderId, hashes: undefined }]
  const stretches: Stretch[] = []
  for (let at = 0; at < isFresh.length; at++) {
    if (!isFresh[at]) continue
    const begin = at
    while (isFresh[at + 1] && from + at + 1 !== half) at++
    const [first, behind] = [from + begin, from + at + 1]
    stretches.push({ folderId, hashes: hashesOf(bits, first, behind) })
  }
  return stretches
}
const hashesOf = (bits: number, first: number, behind: number): [bigint, bigint] => {
  const width = BigInt(64 - bits)
  return [BigInt.asIntN(64, BigInt(first) << width), BigInt.asIntN(64, (BigInt(behind) << width) - 1n)]
}
