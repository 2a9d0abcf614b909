/** Words of files' names: keeping in which part of which folder each is, and taking out those that no name has any more. */
import type { Pool, PoolConnection, RowDataPacket } from 'mysql2/promise'
import { stored } from '../../contract/index-slices.ts'
import { wordsOf } from '../../contract/names.ts'
import type { Database } from '../database.ts'
import { isInPart, partOf, placeOfPart } from './file-places.ts'
import { readVersions } from './file-versions.ts'
import { loadRows, Rows } from './load-rows.ts'

/** Of one name; a name has 255 characters at the most. */
const wordsMax = 64
const allWords = Number.POSITIVE_INFINITY
/** Words of one go: sorted they lie together, and more of them lie closer. */
const wordsAtOnce = 300_000
/** Rows of which there is room at first. */
const firstWords = 1024
/** More than are sorted at once: as many as a number can hold beside a rank. */
const rankedMax = 2 ** 21
const [rankedCharacters, ranks] = [6, 37]
/** Where a word is among others, by its first characters: digits, then letters, then all else. Less than 2^32. */
const rankOf = (word: string): number => {
  let rank = 0
  for (let at = 0; at < rankedCharacters; at++) {
    const code = at < word.length ? word.charCodeAt(at) : 0x30
    rank = rank * ranks + (code <= 0x39 ? code - 0x30 : code <= 0x7a ? code - 0x61 + 10 : ranks - 1)
  }
  return rank
}
/** Names whose words are taken out at once. */
const namesAtOnce = 1000
const wordColumns =
  '(word VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, folder_id INT NOT NULL, part INT NOT NULL)'

/** Collects words, and writes them over a connection of its own; at most one go of it, while the next one is collected. */
export class WordWriter {
  readonly #pool: Pool
  #rows = new Rows()
  /** Of each row where it goes, as a number, and that of the row: so they are sorted without being looked at again. */
  #order = new Float64Array(firstWords)
  #starts = new Uint32Array(firstWords)
  #count = 0
  /** Words that the part has of which names are being given. */
  readonly #known = new Set<string>()
  #folderId = 0
  #part = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Names of one part are to be given one after the other. @param bits of the folder's slices */
  add(name: string, folderId: number, hash: number, bits: number): void {
    const part = partOf(hash, bits)
    if (part !== this.#part || folderId !== this.#folderId) {
      this.#known.clear()
      this.#part = part
      this.#folderId = folderId
    }
    for (const word of wordsOf(name, wordsMax)) {
      if (this.#known.has(word)) continue
      this.#known.add(word)
      if (this.#count === this.#order.length) this.#grow()
      this.#order[this.#count] = rankOf(word) * rankedMax + this.#count
      this.#starts[this.#count++] = this.#rows.length
      this.#rows.add(`${word}\t${folderId}\t${part}`)
    }
  }

  #grow(): void {
    const [order, starts] = [new Float64Array(2 * this.#count), new Uint32Array(2 * this.#count)]
    order.set(this.#order)
    starts.set(this.#starts)
    this.#order = order
    this.#starts = starts
  }

  /** Begins to write what has been collected, when that is enough. */
  async flush(isAll = false): Promise<void> {
    if (this.#count === 0 || (!isAll && this.#count < wordsAtOnce)) return
    const rows = this.#sorted()
    this.#rows = new Rows(rows.length)
    this.#count = 0
    await this.#writing
    this.#writing = this.#write(rows)
    // Looked at in its turn; until then a rejection is not an unhandled one.
    this.#writing.catch(() => undefined)
  }
  /** Does something else with words while none are being written. */
  async between(work: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(work)
    this.#writing.catch(() => undefined)
    await this.#writing
  }
  /** All that was collected is written then. */
  async end(): Promise<void> {
    await this.flush(true)
    await this.#writing
  }
  /** What is being written is over then, however it ends. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  #sorted(): Buffer {
    const { bytes } = this.#rows
    const sorted = Buffer.allocUnsafe(bytes.length)
    let at = 0
    for (const ranked of this.#order.subarray(0, this.#count).sort()) {
      const row = ranked % rankedMax
      at += bytes.copy(sorted, at, this.#starts[row]!, row + 1 < this.#count ? this.#starts[row + 1]! : bytes.length)
    }
    return sorted
  }
  async #write(rows: Buffer): Promise<void> {
    const connection = await this.#pool.getConnection()
    try {
      await loadRows(connection, { table: 'file_words', columns: ['word', 'folder_id', 'part'] }, rows)
    } finally {
      connection.release()
    }
  }
}

/** A name that has a version less. */
export type LostName = { folderId: number; hash: number; name: string }
type Connected = Pick<PoolConnection, 'query'>

/** Takes out what led to these names alone. Their versions are to be gone already. */
export const forgetWords = async (connection: Connected, lost: readonly LostName[]): Promise<void> => {
  for (let at = 0; at < lost.length; at += namesAtOnce) await forgetSome(connection, lost.slice(at, at + namesAtOnce))
}

const forgetSome = async (connection: Connected, lost: readonly LostName[]): Promise<void> => {
  const hashes = new Map<string, number[]>()
  for (const { folderId, hash, name } of lost)
    for (const word of wordsOf(name, allWords)) {
      const key = `${word}\t${folderId}`
      const known = hashes.get(key)
      if (known) known.push(hash)
      else hashes.set(key, [hash])
    }
  if (hashes.size === 0) return
  await connection.query(`CREATE OR REPLACE TEMPORARY TABLE word_lost ${wordColumns}`)
  await loadRows(connection, { table: 'word_lost', columns: ['word', 'folder_id'], set: 'SET part = 0' }, [
    ...hashes.keys(),
  ])
  const [rows] = await connection.query<({ word: string; folderId: number; part: number } & RowDataPacket)[]>(
    'SELECT STRAIGHT_JOIN w.word, w.folder_id AS folderId, w.part FROM word_lost l JOIN file_words w ON w.word = l.word AND w.folder_id = l.folder_id',
  )
  const touched = rows.filter(({ word, folderId, part }) =>
    hashes.get(`${word}\t${folderId}`)!.some((hash) => isInPart(hash, part)),
  )
  const places = new Map(touched.map(({ folderId, part }) => [`${folderId} ${part}`, placeOfPart(folderId, part)]))
  /** By folder: names that are still there. */
  const left = new Map<number, Map<string, { hash: number; words: Set<string> }>>()
  for (const version of await readVersions(connection, [...places.values()])) {
    const names = left.get(version.folderId) ?? new Map()
    const name = stored(version.entry[0])
    if (!names.has(name)) names.set(name, { hash: version.hash, words: new Set(wordsOf(name, allWords)) })
    left.set(version.folderId, names)
  }
  const gone = touched.filter(
    ({ word, folderId, part }) =>
      ![...(left.get(folderId)?.values() ?? [])].some(({ hash, words }) => words.has(word) && isInPart(hash, part)),
  )
  await connection.query(`CREATE OR REPLACE TEMPORARY TABLE word_lost ${wordColumns}`)
  await loadRows(
    connection,
    { table: 'word_lost', columns: ['word', 'folder_id', 'part'] },
    gone.map(({ word, folderId, part }) => `${word}\t${folderId}\t${part}`),
  )
  await connection.query(
    'DELETE w FROM word_lost l JOIN file_words w ON w.word = l.word AND w.folder_id = l.folder_id AND w.part = l.part',
  )
  await connection.query('DROP TEMPORARY TABLE word_lost')
}

/** Rows that are looked at in one statement: no search waits for it. */
const wordsLookedAt = 20_000
type Row = { word: string; folderId: number; part: number }

/**
 * Takes out words of folders that are gone with their machine: words come first in the table, so that nothing finds those of one folder without looking at all.
 * @param most rows that are looked at in one go
 */
export const forgetDeletedFolders = async ({ pool }: Pick<Database, 'pool'>, most = wordsLookedAt): Promise<void> => {
  const behind = '(w.word > ? OR (w.word = ? AND w.folder_id > ?) OR (w.word = ? AND w.folder_id = ? AND w.part > ?))'
  const place = ({ word, folderId, part }: Row) => [word, word, folderId, word, folderId, part]
  for (let last: Row = { word: '', folderId: 0, part: 0 }; ; ) {
    const [[next]] = await pool.query<(Row & RowDataPacket)[]>(
      `SELECT w.word, w.folder_id AS folderId, w.part FROM file_words w WHERE ${behind} ORDER BY w.word, w.folder_id, w.part LIMIT 1 OFFSET ?`,
      [...place(last), most - 1],
    )
    const [upTo, values] = next ? [`AND NOT ${behind}`, place(next)] : ['', []]
    await pool.query(
      `DELETE w FROM file_words w LEFT JOIN file_folders f ON f.id = w.folder_id WHERE ${behind} ${upTo} AND f.id IS NULL`,
      [...place(last), ...values],
    )
    if (!next) return
    last = next
  }
}
