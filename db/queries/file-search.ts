/** Finds versions of files by the words of their names, or by what they hold. */
import type { Connection, RowDataPacket } from 'mysql2/promise'
import { HubError } from '../../contract/errors.ts'
import { stored } from '../../contract/index-slices.ts'
import { wordsOf } from '../../contract/names.ts'
import { type Database, databaseErrorCode } from '../database.ts'
import { newestIndexed } from './file-index.ts'
import { placeOfName, placeOfPart } from './file-places.ts'
import { contentKey, readFolders, toRows, type VersionRow } from './file-rows.ts'
import { isAt, type Placed } from './file-timeline.ts'
import { readVersions } from './file-versions.ts'

export type Search = {
  /** In small letters; each begins a word of the name. */
  words: readonly string[]
  /** What the content has, too. */
  sha256: string | undefined
  vmName: string | undefined
  kind: 'f' | 'd' | undefined
  /** Whether versions are found that the newest point does not have. */
  withOld: boolean
  limit: number
  offset: number
}
type Part = { word: string; folderId: number; part: number }
type Connected = Pick<Connection, 'query'>

/** A search that takes longer asks for too much. */
const searchSecondsMax = 10
/** Parts of folders that are looked through at once: few at first, for a page is soon full; then more by the factor. */
const partsAtOnce = { first: 100, factor: 3, most: 2_700 }
/** Words that begin alike, of which parts are to have one: more take longer to look up than they spare. */
const fullWordsMax = 20
/** Files with one content that are looked at in one go. */
const contentsAtOnce = 500
const allWords = Number.POSITIVE_INFINITY

/**
 * Versions of files whose names have such words, or whose contents have that digest; one of both is given. Their order stays the same.
 * @throws VALIDATION_FAILED when it takes too long
 */
export const searchVersions = async (db: Pick<Database, 'pool' | 'orm'>, search: Search): Promise<VersionRow[]> => {
  const inTime = withinSeconds(db.pool, searchSecondsMax)
  try {
    const volumes = await volumesOf(search.vmName, inTime)
    const matching = new Matching(db, inTime, search)
    const end = search.offset + search.limit
    const found: Placed[] = []
    const some = search.sha256 === undefined ? byWords(inTime, search, volumes) : byContent(inTime, search.sha256)
    for await (const versions of some) {
      found.push(...(await matching.of(versions)))
      if (found.length >= end) break
    }
    const rows = await toRows(inTime, found.slice(search.offset, end))
    return rows.filter((row) => row !== undefined)
  } catch (error) {
    throw databaseErrorCode(error) === 'ER_STATEMENT_TIMEOUT' ? tooMuch() : error
  }
}
const tooMuch = () => {
  const message = 'finds too much to look through: say more words, or the machine'
  return new HubError('VALIDATION_FAILED', 'The request is not valid', {
    fields: [{ field: 'q', message, code: 'RANGE' }],
  })
}
/** @throws VALIDATION_FAILED, ER_STATEMENT_TIMEOUT when all statements together take longer */
const withinSeconds = (pool: Database['pool'], most: number): Connected => {
  const until = performance.now() + most * 1000
  const query = (asked: string | { sql: string }, values?: unknown[]) => {
    const left = (until - performance.now()) / 1000
    if (left <= 0) throw tooMuch()
    const { sql, ...more } = typeof asked === 'string' ? { sql: asked } : asked
    return pool.query({ ...more, sql: `SET STATEMENT max_statement_time = ${left.toFixed(3)} FOR ${sql}` }, values)
  }
  return { query: query as Connected['query'] }
}
const rowsOf = async <Row>(db: Connected, statement: string, values: unknown[]): Promise<Row[]> =>
  (await db.query<RowDataPacket[]>(statement, values))[0] as Row[]

/** Volumes of a VM, of all VMs when none is said. */
const volumesOf = async (vmName: string | undefined, db: Connected): Promise<number[] | undefined> =>
  vmName === undefined
    ? undefined
    : (
        await rowsOf<{ id: number }>(
          db,
          'SELECT o.id FROM vm_backup_contexts c JOIN file_volumes o ON o.vm_backup_context_id = c.context_id WHERE c.vm_name = ?',
          [vmName],
        )
      ).map(({ id }) => id)

/** What is to be found of versions that may be it, each once. */
class Matching {
  readonly #db: Pick<Database, 'orm'>
  readonly #inTime: Connected
  readonly #search: Search
  readonly #seen = new Set<string>()
  /** By folders of VMs: when the newest indexed point was completed. */
  readonly #newest = new Map<string, number>()

  constructor(db: Pick<Database, 'orm'>, inTime: Connected, search: Search) {
    this.#db = db
    this.#inTime = inTime
    this.#search = search
  }

  async of(versions: readonly Placed[]): Promise<Placed[]> {
    const { words, kind, vmName, withOld } = this.#search
    const fit = versions.filter((version) => {
      const [name, itsKind] = version.entry
      if (kind !== undefined && itsKind !== kind) return false
      if (words.length === 0) return this.#isNew(version)
      const own = wordsOf(stored(name), allWords)
      return words.every((word) => own.some((one) => one.startsWith(word))) && this.#isNew(version)
    })
    const folders = await readFolders(
      this.#inTime,
      fit.map(({ folderId }) => folderId),
    )
    const unknown = new Set(
      [...folders.values()].map(({ contextId }) => contextId).filter((id) => !this.#newest.has(id)),
    )
    for (const [contextId, at] of await newestIndexed(this.#db.orm, [...unknown])) this.#newest.set(contextId, at)
    return fit.filter((version) => {
      const folder = folders.get(version.folderId)
      const newest = folder && this.#newest.get(folder.contextId)
      if (newest === undefined || (vmName !== undefined && folder!.vmName !== vmName)) return false
      return withOld || isAt(version, newest)
    })
  }

  /** A name has several words that begin alike, and its folder may have been told in other parts before. */
  #isNew({ folderId, hash, firstAt }: Placed): boolean {
    const key = `${folderId} ${hash} ${firstAt}`
    if (this.#seen.has(key)) return false
    this.#seen.add(key)
    return true
  }
}

async function* byContent(db: Connected, sha256: string): AsyncGenerator<Placed[]> {
  for (let offset = 0; ; offset += contentsAtOnce) {
    const contents = await rowsOf<{ folderId: number; hash: number; size: number; modified: number }>(
      db,
      `SELECT folder_id AS folderId, name_hash AS hash, size, modified FROM file_digests WHERE sha256 = ?
       ORDER BY folder_id, name_hash, size, modified LIMIT ? OFFSET ?`,
      [Buffer.from(sha256, 'hex'), contentsAtOnce, offset],
    )
    const keys = new Set(
      contents.map(({ folderId, hash, size, modified }) => contentKey(folderId, hash, size, modified)),
    )
    const places = contents.map(({ folderId, hash }) => placeOfName(folderId, hash))
    const versions = await readVersions(db, places)
    yield versions.filter(
      ({ folderId, hash, entry: [, kind, size, modified] }) =>
        kind === 'f' && keys.has(contentKey(folderId, hash, size, modified)),
    )
    if (contents.length < contentsAtOnce) return
  }
}

/** Part by part of folders that have the rarest word, and, as far as that can be said of them, all others. */
async function* byWords(
  db: Connected,
  { words }: Search,
  volumes: readonly number[] | undefined,
): AsyncGenerator<Placed[]> {
  const [word, ...others] = (await rarestFirst(db, words)) as [string, ...string[]]
  const wanted = { word, volumes, others: await fullWordsOf(db, others) }
  const looked = new Set<string>()
  let most = partsAtOnce.first
  for (let last: Part | undefined; ; ) {
    const parts = await partsOf(db, wanted, last, most)
    const places = []
    for (const { folderId, part } of parts) {
      const key = `${folderId} ${part}`
      if (!looked.has(key)) places.push(placeOfPart(folderId, part))
      looked.add(key)
    }
    yield await readVersions(db, places)
    if (parts.length < most) return
    last = parts.at(-1)!
    most = Math.min(most * partsAtOnce.factor, partsAtOnce.most)
  }
}
/** The server estimates how many there are without counting them. */
const rarestFirst = async (db: Connected, words: readonly string[]): Promise<string[]> => {
  if (words.length < 2) return [...words]
  const counted = []
  for (const word of words) {
    const explain = 'EXPLAIN SELECT 1 FROM file_words WHERE word LIKE ?'
    // Told as text.
    const [plan] = await rowsOf<{ rows: string | null }>(db, explain, [beginsWith(word)])
    counted.push({ word, count: Number(plan?.rows ?? 0) })
  }
  return counted.sort((a, b) => a.count - b.count).map(({ word }) => word)
}
/** Of each, all words that begin with it; those of which that are too many are left out. One after the other: asked for all at once, a server may look at every row that has one. */
const fullWordsOf = async (db: Connected, beginnings: readonly string[]): Promise<string[][]> => {
  const all: string[][] = []
  for (const beginning of beginnings) {
    const words: string[] = []
    while (words.length <= fullWordsMax) {
      const [next] = await rowsOf<{ word: string }>(
        db,
        'SELECT word FROM file_words WHERE word LIKE ? AND word > ? ORDER BY word LIMIT 1',
        [beginsWith(beginning), words.at(-1) ?? noWord],
      )
      if (!next) break
      words.push(next.word)
    }
    if (words.length <= fullWordsMax) all.push(words)
  }
  return all
}
/** For LIKE. Words are letters and digits: nothing in them stands for others. */
const beginsWith = (word: string) => `${word}%`

type Wanted = {
  word: string
  /** Words of which a part is to have one of each. */
  others: readonly string[][]
  /** Which only are looked at, when they are said. */
  volumes: readonly number[] | undefined
}
/** The next ones in their order. All words of a name were told of the same part. */
const partsOf = (db: Connected, { word, others, volumes }: Wanted, last: Part | undefined, most: number) => {
  const isNext = last
    ? 'AND (x.word > ? OR (x.word = ? AND x.folder_id > ?) OR (x.word = ? AND x.folder_id = ? AND x.part > ?))'
    : ''
  const hasOthers = others.map(
    () =>
      'AND EXISTS (SELECT 1 FROM file_words y WHERE y.word IN (?) AND y.folder_id = x.folder_id AND y.part = x.part)',
  )
  const [join, isOfVm] = volumes
    ? ['JOIN file_folders f ON f.id = x.folder_id', `AND f.volume_id IN (${[ofNothing, ...volumes]})`]
    : ['', '']
  return rowsOf<Part>(
    db,
    `SELECT STRAIGHT_JOIN x.word, x.folder_id AS folderId, x.part FROM file_words x ${join} WHERE x.word LIKE ? ${isNext} ${hasOthers.join(' ')} ${isOfVm}
     ORDER BY x.word, x.folder_id, x.part LIMIT ?`,
    [
      beginsWith(word),
      ...(last ? [last.word, last.word, last.folderId, last.word, last.folderId, last.part] : []),
      ...others.map((full) => (full.length > 0 ? full : [noWord])),
      most,
    ],
  )
}
/** Before all words; nothing has it. */
const noWord = ''
/** The number of no volume. */
const ofNothing = 0
