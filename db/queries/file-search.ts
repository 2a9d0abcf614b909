/** Finds versions of files by the words of their names, or by what they hold. */
import { HubError } from '../../contract/errors.ts'
import { wordsOf } from '../../contract/names.ts'
import { type Database, databaseErrorCode } from '../database.ts'
import { like, rowsOf, sameContent, stillThere, type VersionRow, versionColumns, versionJoins } from './file-index.ts'
import { conditionsOf, placeOfPart } from './file-places.ts'

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
type Key = { folderId: number; nameHash: number; firstAt: number }
type Part = { word: string; folderId: number; part: number }

/** A search that takes longer asks for too much. */
const searchSecondsMax = 10
/** Parts of folders that are looked through at once: few at first, for a page is soon full; then more by the factor. */
const partsAtOnce = { first: 100, factor: 3, most: 2_700 }
const allWords = Number.POSITIVE_INFINITY

/** The words, the rarest first: that is looked for, and the others in what it finds. The server estimates how many there are without counting them. */
const rarestFirst = async (db: Pick<Database, 'pool'>, words: readonly string[]): Promise<string[]> => {
  if (words.length < 2) return [...words]
  const counted = []
  for (const word of words) {
    const explain = 'EXPLAIN SELECT 1 FROM file_words WHERE word LIKE ?'
    const [plan] = await rowsOf<{ rows: number | null }>(db, explain, [`${like(word)}%`])
    counted.push({ word, count: plan?.rows ?? 0 })
  }
  return counted.sort((a, b) => a.count - b.count).map(({ word }) => word)
}
/** A word is letters and digits (wordsOf): nothing of it means anything to the expression. */
const beginningOfWord = (word: string) => `(?i)(^|[^\\p{L}\\p{N}])${word}`

/** Of versions `v`, but for the word that is looked for. */
const conditionsFor = ({ withOld, kind }: Search, words: readonly string[]): [string, unknown][] => [
  ...words.map((word): [string, unknown] => ['v.name REGEXP ?', beginningOfWord(word)]),
  ...(withOld ? [] : [['v.last_at = ?', stillThere] as [string, unknown]]),
  ...(kind === undefined ? [] : [['v.kind = ?', kind] as [string, unknown]]),
]
/** Volumes of a VM, of all VMs when none is said. */
const volumesOf = async (vmName: string | undefined, ask: Ask): Promise<number[] | undefined> =>
  vmName === undefined
    ? undefined
    : (
        await ask<{ id: number }>(
          'SELECT o.id FROM vm_backup_contexts c JOIN file_volumes o ON o.vm_backup_context_id = c.context_id WHERE c.vm_name = ?',
          [vmName],
        )
      ).map(({ id }) => id)
/** Folders of these volumes, of rows with a `folder_id`. */
const isIn = (volumes: readonly number[] | undefined, rows: string) =>
  volumes === undefined
    ? ['', '']
    : [`JOIN file_folders f ON f.id = ${rows}.folder_id`, `AND f.volume_id IN (${[never, ...volumes]})`]
/** Of no volume. */
const never = 0
const keyColumns = 'v.folder_id AS folderId, v.name_hash AS nameHash, v.first_at AS firstAt'

/**
 * Versions of files whose names have such words, or whose contents have that digest; one of both is given. Their order stays the same.
 * @throws VALIDATION_FAILED when it takes too long
 */
export const searchVersions = async (db: Pick<Database, 'pool'>, search: Search): Promise<VersionRow[]> => {
  const until = performance.now() + searchSecondsMax * 1000
  /** @throws VALIDATION_FAILED */
  const inTime = <Row>(statement: string, values: unknown[]): Promise<Row[]> => {
    const left = (until - performance.now()) / 1000
    if (left <= 0) throw tooMuch()
    return rowsOf<Row>(db, `SET STATEMENT max_statement_time = ${left.toFixed(3)} FOR ${statement}`, values)
  }
  try {
    const found = search.sha256 === undefined ? await byWords(db, search, inTime) : await byContent(search, inTime)
    return await versionsAt(found, inTime)
  } catch (error) {
    throw databaseErrorCode(error) === 'ER_STATEMENT_TIMEOUT' ? tooMuch() : error
  }
}
type Ask = <Row>(statement: string, values: unknown[]) => Promise<Row[]>
const tooMuch = () => {
  const message = 'finds too much to look through: say more words, or the machine'
  return new HubError('VALIDATION_FAILED', 'The request is not valid', {
    fields: [{ field: 'q', message, code: 'RANGE' }],
  })
}

const byContent = async (search: Search, ask: Ask): Promise<Key[]> => {
  const conditions = conditionsFor(search, search.words)
  const [join, isOfVm] = isIn(await volumesOf(search.vmName, ask), 'v')
  return ask(
    `SELECT STRAIGHT_JOIN ${keyColumns} FROM file_digests x JOIN file_versions v ON ${sameContent('x')} ${join}
     WHERE ${['x.sha256 = ?', ...conditions.map(([text]) => text)].join(' AND ')} ${isOfVm} ORDER BY v.folder_id, v.name_hash, v.first_at LIMIT ? OFFSET ?`,
    [Buffer.from(search.sha256!, 'hex'), ...conditions.map(([, value]) => value), search.limit, search.offset],
  )
}

/** Part by part of folders that have the word, until a page is full. */
const byWords = async (db: Pick<Database, 'pool'>, search: Search, ask: Ask): Promise<Key[]> => {
  const [word, ...others] = (await rarestFirst(db, search.words)) as [string, ...string[]]
  const conditions = conditionsFor(search, others)
  const volumes = await volumesOf(search.vmName, ask)
  const found: Key[] = []
  const seen = new Set<string>()
  const end = search.offset + search.limit
  let most = partsAtOnce.first
  for (let last: Part | undefined; ; ) {
    const parts = await partsOf(word, volumes, last, most, ask)
    const places = new Map(parts.map(({ folderId, part }) => [`${folderId} ${part}`, placeOfPart(folderId, part)]))
    for (const place of conditionsOf([...places.values()])) {
      const rows = await ask<Key & { name: string }>(
        `SELECT ${keyColumns}, v.name FROM file_versions v WHERE ${[place, ...conditions.map(([text]) => text)].join(' AND ')}
         ORDER BY v.folder_id, v.name_hash, v.first_at`,
        conditions.map(([, value]) => value),
      )
      for (const { name, ...key } of rows) {
        const text = `${key.folderId} ${key.nameHash} ${key.firstAt}`
        // A name has several words that begin like this, or its folder was told in other parts before.
        if (seen.has(text) || !wordsOf(name, allWords).some((one) => one.startsWith(word))) continue
        seen.add(text)
        found.push(key)
      }
      if (found.length >= end) return found.slice(search.offset, end)
    }
    if (parts.length < most) return found.slice(search.offset, end)
    last = parts.at(-1)!
    most = Math.min(most * partsAtOnce.factor, partsAtOnce.most)
  }
}

/** The next ones in their order. @param volumes of which only are looked at, when they are said */
const partsOf = (
  word: string,
  volumes: readonly number[] | undefined,
  last: Part | undefined,
  most: number,
  ask: Ask,
) => {
  const isNext = last
    ? 'AND (x.word > ? OR (x.word = ? AND x.folder_id > ?) OR (x.word = ? AND x.folder_id = ? AND x.part > ?))'
    : ''
  const [join, isOfVm] = isIn(volumes, 'x')
  return ask<Part>(
    `SELECT STRAIGHT_JOIN x.word, x.folder_id AS folderId, x.part FROM file_words x ${join} WHERE x.word LIKE ? ${isNext} ${isOfVm}
     ORDER BY x.word, x.folder_id, x.part LIMIT ?`,
    [
      `${like(word)}%`,
      ...(last ? [last.word, last.word, last.folderId, last.word, last.folderId, last.part] : []),
      most,
    ],
  )
}

/** All that is told of them, in their order. */
const versionsAt = async (keys: readonly Key[], ask: Ask): Promise<VersionRow[]> => {
  if (keys.length === 0) return []
  const textOf = ({ folderId, nameHash, firstAt }: Key) => `${folderId} ${nameHash} ${firstAt}`
  const places = keys.map(
    ({ folderId, nameHash, firstAt }) =>
      `(v.folder_id = ${folderId} AND v.name_hash = ${nameHash} AND v.first_at = ${firstAt})`,
  )
  const rows = await ask<VersionRow & Key>(
    `SELECT STRAIGHT_JOIN ${versionColumns}, v.folder_id AS folderId, v.name_hash AS nameHash FROM file_versions v ${versionJoins} WHERE ${places.join(' OR ')}`,
    [],
  )
  const byKey = new Map(rows.map((row) => [textOf(row), row]))
  return keys.flatMap((key) => byKey.get(textOf(key)) ?? [])
}
