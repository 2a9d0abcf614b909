import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IndexedEntry, IndexedFolder, IndexLine } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf } from '../../contract/index-slices.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { mergeDeltas } from '../../db/queries/file-deltas-merge.ts'
import { ensureVolume, indexedPoints } from '../../db/queries/file-index.ts'
import { FileIndexWriter } from '../../db/queries/file-index-writer.ts'
import { splitPath } from '../../db/queries/file-paths.ts'
import { wholeFolder } from '../../db/queries/file-places.ts'
import { readVersions } from '../../db/queries/file-versions.ts'
import { forgetDeletedFolders } from '../../db/queries/file-words.ts'
import { runIndexes } from '../../workflows/index-files.ts'
import { keyOf } from '../fakes/agent.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { seeded } from '../support/damage.ts'
import { finishBackups } from '../support/flows.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone({ now: new Date('2026-03-01T12:00:00.000Z') })
})
afterAll(() => alone.close())

type Tree = Record<string, string | null>
type Vm = Awaited<ReturnType<typeof readyVm>>
/** @returns the id of a completed backup whose disk holds this */
const backUp = async (vm: Vm, tree: Tree, more: object = {}): Promise<string> => {
  alone.tokens.admin = await alone.freshToken()
  const backup_type =
    (await alone.call('GET', `/backups?vm_name=${vm.vmName}`)).body.total_count > 0 ? 'incremental' : 'full'
  const { body } = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type,
    ...more,
  })
  alone.clock.advance(60)
  await finishBackups(alone)
  alone.clock.advance(3600)
  alone.tokens.admin = await alone.freshToken()
  const { job, disks } = (await findBackup(alone.db.orm, body.backup_id))!
  const key = keyOf({
    repository_id: job.repositoryId,
    vm_backup_context_id: job.vmBackupContextId,
    disk_index: disks[0]!.diskIndex,
    base: disks[0]!.fileBase,
  })
  alone.agent.trees.set(key, new Map(Object.entries(tree)))
  return body.backup_id
}
/** Of a round: as long as there is something to do, or for one point, whose deltas lie over the slices then. */
const [untilDone, forOne] = [10_000, 0]
const index = async (id: string, forMs = untilDone) => {
  expect((await alone.call('POST', `/backups/${id}/index`)).status).toBe(200)
  await runIndexes(alone.bindings, forMs)
  return (await alone.call('GET', `/backups/${id}`)).body.file_index
}
/** @param missing lines */
const indexCutOff = async (id: string, missing: number, forMs = untilDone) => {
  const whole = alone.agent.readIndex.bind(alone.agent)
  alone.agent.readIndex = async (body) => {
    const lines = await (await whole(body)).toArray()
    return Readable.from(lines.slice(0, -missing))
  }
  try {
    return await index(id, forMs)
  } finally {
    alone.agent.readIndex = whole
  }
}
const get = async (path: string) => (await alone.call('GET', path)).body
const search = async (query: string) => (await get(`/search?${query}`)).files as any[]

it('finds files by the words of their names, with their versions and what changed', async () => {
  const vm = await readyVm(alone, { name: 'files' })
  const policy = (
    await alone.call('POST', '/policies', { name: 'found', primary_repository_id: vm.repositoryId, retention_days: 0 })
  ).body
  expect(policy.index_files).toBe(true)
  const trees: Tree[] = [
    { '/home': null, '/home/Annual-Report_2025.pdf': 'one', '/home/notes.txt': 'a', '/etc/hosts': 'h' },
    {
      '/home': null,
      '/home/Annual-Report_2025.pdf': 'longer',
      '/home/notes.txt': 'a',
      '/etc/hosts': 'h',
      '/home/100%_sure': '',
    },
    { '/home': null, '/home/Annual-Report_2025.pdf': 'longer', '/etc/hosts': 'h' },
  ]
  const ids: string[] = []
  for (const tree of trees) ids.push(await backUp(vm, tree, { policy_id: policy.id }))
  // Each has waited since it was completed.
  await runIndexes(alone.bindings, untilDone)
  for (const [at, id] of ids.entries())
    expect((await get(`/backups/${id}`)).file_index).toMatchObject({
      status: 'completed',
      digests: 'none',
      entry_count: Object.keys(trees[at]!).length,
      error_message: null,
    })

  expect(await search('q=report')).toEqual([
    {
      vm_name: 'files',
      volume: 'disk 0 partition 0',
      path: '/home/Annual-Report_2025.pdf',
      path_b64: null,
      type: 'file',
      size: 6,
      modified_time: '1970-01-01T00:00:01.000Z',
      sha256: null,
      backup_id: ids[2],
      completed_at: expect.any(String),
      is_current: true,
    },
  ])
  for (const query of ['q=ANNUAL+2025', 'q=rep+ann', 'q=pdf&vm_name=files', 'q=report&type=file'])
    expect(
      (await search(query)).map(({ path }) => path),
      query,
    ).toEqual(['/home/Annual-Report_2025.pdf'])
  for (const query of ['q=eport', 'q=report+2024', 'q=report&vm_name=other', 'q=report&type=directory', 'q=notes'])
    expect(await search(query), query).toEqual([])
  expect(await search('q=notes&deleted=true')).toMatchObject([{ is_current: false, backup_id: ids[1] }])
  expect(await search('q=100&deleted=true')).toMatchObject([{ path: '/home/100%_sure' }])
  expect((await alone.call('GET', '/search?q=%25%25')).body.fields).toMatchObject([{ field: 'q' }])
  const page = await get('/search?q=h&limit=1')
  expect([page.files.length, page.has_more, page.next_offset]).toEqual([1, true, 1])

  const { versions } = await get(`/files/history?vm_name=files&path=/home/Annual-Report_2025.pdf`)
  expect(
    versions.map((version: any) => [
      version.size,
      version.point_count,
      version.first_backup_id,
      version.last_backup_id,
    ]),
  ).toEqual([
    [6, 2, ids[1], ids[2]],
    [3, 1, ids[0], ids[0]],
  ])
  expect((await get('/files/history?vm_name=files&path=/gone')).versions).toEqual([])
  expect((await get('/files/history?vm_name=nobody&path=/etc/hosts')).versions).toEqual([])
  expect((await get('/files/history?vm_name=files&path=relative')).code).toBe('PATH_INVALID')

  const changes = async (a: number, b: number, query = '') =>
    (await get(`/backups/${ids[a]}/diff/${ids[b]}${query}`)).changes.map(({ path, change }: any) => [path, change])
  expect(await changes(0, 2)).toEqual([
    ['/home/Annual-Report_2025.pdf', 'changed'],
    ['/home/notes.txt', 'removed'],
  ])
  expect(await changes(2, 0)).toEqual([
    ['/home/Annual-Report_2025.pdf', 'changed'],
    ['/home/notes.txt', 'added'],
  ])
  expect(await changes(0, 1)).toEqual([
    ['/home/100%_sure', 'added'],
    ['/home/Annual-Report_2025.pdf', 'changed'],
  ])
  expect(await changes(1, 2, '?path=/home&limit=1&offset=1')).toEqual([['/home/notes.txt', 'removed']])
  expect(await changes(1, 2, '?path=/etc')).toEqual([])

  // What retention takes is not found any more.
  await alone.call('DELETE', `/backups/${ids[2]}`)
  expect((await get(`/files/history?vm_name=files&path=/home/Annual-Report_2025.pdf`)).versions[0].point_count).toBe(1)
})

it('reads what new files hold where a policy asks for it, and finds them by that', async () => {
  const vm = await readyVm(alone, { name: 'digests' })
  const body = { name: 'by content', primary_repository_id: vm.repositoryId, retention_days: 0, index_digests: true }
  const policy = (await alone.call('POST', '/policies', body)).body
  expect([policy.index_files, policy.index_digests]).toEqual([true, true])
  const digest = (text: string) => createHash('sha256').update(text).digest('hex')
  const asked: number[] = []
  const read = alone.agent.readDigests.bind(alone.agent)
  alone.agent.readDigests = (request) => {
    asked.push(request.paths_b64.length)
    return read(request)
  }
  const first = await backUp(
    vm,
    { '/bin': null, '/bin/tool': 'evil', '/bin/copy of it': 'evil', '/etc/motd': 'hi' },
    { policy_id: policy.id },
  )
  const second = await backUp(
    vm,
    { '/bin': null, '/bin/tool': 'good one', '/bin/copy of it': 'evil', '/etc/motd': 'hi' },
    { policy_id: policy.id },
  )
  await runIndexes(alone.bindings, untilDone)
  for (const id of [first, second])
    expect((await get(`/backups/${id}`)).file_index).toMatchObject({ status: 'completed', digests: 'completed' })
  // Of the second point only what the first has not.
  expect(asked.toSorted()).toEqual([1, 3])
  expect(await search(`sha256=${digest('evil')}`)).toMatchObject([
    { path: '/bin/copy of it', sha256: digest('evil'), backup_id: second },
  ])
  const everywhere = await search(`sha256=${digest('evil').toUpperCase()}&deleted=true`)
  expect(everywhere.map(({ path, backup_id }) => [path, backup_id]).toSorted()).toEqual([
    ['/bin/copy of it', second],
    ['/bin/tool', first],
  ])
  expect(await search(`sha256=${digest('evil')}&deleted=true&q=tool`)).toMatchObject([{ path: '/bin/tool' }])
  expect(await search(`sha256=${digest('unknown')}`)).toEqual([])
  for (const query of ['', 'sha256=12', `sha256=${'x'.repeat(64)}`])
    expect((await alone.call('GET', `/search?${query}`)).body.code, query).toBe('VALIDATION_FAILED')
  const { versions } = await get('/files/history?vm_name=digests&path=/bin/tool')
  expect(versions.map(({ sha256 }: any) => sha256)).toEqual([digest('good one'), digest('evil')])
  const { changes } = await get(`/backups/${first}/diff/${second}`)
  expect(changes).toMatchObject([
    { path: '/bin/tool', before: { sha256: digest('evil') }, after: { sha256: digest('good one') } },
  ])

  // What is cut off keeps what it has told, and says why it is not whole.
  alone.agent.readDigests = async (request) => {
    const { Readable } = await import('node:stream')
    const lines = await (await read(request)).toArray()
    return Readable.from(lines.slice(0, -1))
  }
  const third = await backUp(vm, { '/etc/motd': 'hello' }, { policy_id: policy.id })
  await runIndexes(alone.bindings, untilDone)
  expect((await get(`/backups/${third}`)).file_index).toMatchObject({
    status: 'completed',
    digests: 'none',
    error_message: 'The contents could not be read: reading was cut off',
  })
  expect(await search(`sha256=${digest('hello')}`)).toMatchObject([{ path: '/etc/motd' }])
  alone.agent.readDigests = read
  expect(await index(third)).toMatchObject({ digests: 'completed', error_message: null })

  // Nothing stays of what no point has.
  for (const id of [third, second, first]) await alone.call('DELETE', `/backups/${id}`)
  await index(await backUp(vm, {}))
  const own = `folder_id IN (SELECT f.id FROM file_folders f JOIN file_volumes o ON o.id = f.volume_id JOIN vm_backup_contexts c ON c.context_id = o.vm_backup_context_id WHERE c.vm_name = 'digests')`
  for (const table of ['file_slices', 'file_versions', 'file_digests', 'file_words'])
    expect((await alone.db.pool.query(`SELECT * FROM ${table} WHERE ${own}`))[0], table).toEqual([])
  const words = `SELECT word FROM file_words WHERE word IN ('tool', 'motd')`
  expect((await alone.db.pool.query(words))[0]).toEqual([])
})

it('believes nothing that a reader says without looking at it', async () => {
  const vm = await readyVm(alone, { name: 'hostile reader' })
  const id = await backUp(vm, { '/a': 'a' })
  const { Readable } = await import('node:stream')
  const whole = alone.agent.readIndex.bind(alone.agent)
  const volume = { volume: 'disk 0 partition 0' }
  const told = (folder: unknown, entries: unknown, more: object = {}) => ({
    ...{ folder, bits: 0, from: 0, to: 1, same: null, entries, unnamed: [] },
    ...more,
  })
  const folder = (entry: unknown) => told('', [entry])
  const lines: unknown[] = [
    'no JSON',
    null,
    7,
    [],
    { end: 1 },
    { volume: 1 },
    { volume: 'x'.repeat(301) },
    told('', {}),
    told({}, []),
    ...[{ bits: 25 }, { bits: -1 }, { bits: 0.5 }, { from: 1 }, { from: -1 }, { same: -1 }, { same: '1' }].map((more) =>
      told('', [], more),
    ),
    ...['?', [1], [['name', 'f', 1, 1]], [[-1, 'f', 1, 1]], [[2 ** 32, 'f', 1, 1]], [[1, 'f', -1, 1]]].map((unnamed) =>
      told('', [], { unnamed }),
    ),
    ...[-1, 0, 2, '1', null].map((to) => told('', [], { to })),
    folder(['name', 'f\t0\n1\t1\t1\tforged', 1, 1]),
    folder(['name', 'f', '1\t1', 1]),
    folder(['name', 'f', -1, 1]),
    folder(['name', 'f', 1, 1e300]),
    folder(['name', 'f', 1, 0.5]),
    folder([{ b64: 'no base64!' }, 'f', 1, 1]),
    folder(['a\0b', 'f', 1, 1]),
    folder('name'),
  ]
  for (const line of lines) {
    alone.agent.readIndex = async () =>
      Readable.from(
        [volume, line, { end: true }].map((one) => Buffer.from(`${one === 'no JSON' ? one : JSON.stringify(one)}\n`)),
      )
    expect(await index(id), JSON.stringify(line)).toMatchObject({
      status: 'failed',
      error_message: 'What reads the files of the backup says what can not be',
    })
  }
  const said = (...told: unknown[]) => Readable.from(told.map((one) => Buffer.from(`${JSON.stringify(one)}\n`)))
  alone.agent.readIndex = async () => said(folder(['a', 'f', 1, 1]), { end: true })
  expect(await index(id)).toMatchObject({ status: 'failed' })
  // Its reader has ended in the middle: nobody begins that anew, and what waits behind it is read.
  alone.agent.readIndex = async () =>
    Readable.from(
      (async function* () {
        yield Buffer.from(`${JSON.stringify(volume)}\n${JSON.stringify(folder(['a', 'f', 1, 1]))}\n{"fol`)
        throw new Error('aborted')
      })(),
    )
  expect(await index(id)).toMatchObject({
    status: 'failed',
    error_message: 'What reads the files of the backup was cut off',
  })
  // A folder that is told once more costs nothing but itself.
  alone.agent.readIndex = async () => said(volume, folder(['a', 'f', 1, 1]), folder(['b', 'f', 1, 1]), { end: true })
  expect(await index(id)).toMatchObject({ status: 'completed' })
  await alone.db.pool.query("UPDATE file_indexes SET status = 'failed' WHERE backup_job_id = ?", [id])
  // Who says that there are very many slices is not asked about each of them, now or when the folder is gone.
  const many = { bits: 24, from: 0, to: 2 ** 24 }
  const sparse = Array.from({ length: 20 }, (_, at) => [`sparse ${at}`, 'f', 1, 1])
  alone.agent.readIndex = async () =>
    said(volume, ...[1, 2, 3].map((at) => told(`/many ${at}`, sparse, many)), { end: true })
  const later = await backUp(vm, {})
  expect(await index(later)).toMatchObject({ status: 'completed', entry_count: 60 })
  alone.agent.readIndex = async () => said(volume, { end: true })
  const last = await backUp(vm, {})
  expect(await index(last)).toMatchObject({ status: 'completed', entry_count: 0 })
  expect((await get(`/backups/${later}/diff/${last}?limit=200`)).changes.length).toBe(60)
  for (const gone of [last, later]) await alone.call('DELETE', `/backups/${gone}`)
  await alone.db.pool.query("UPDATE file_indexes SET status = 'failed' WHERE backup_job_id = ?", [id])
  // Names that mean something to a table's file mean nothing here.
  const names = ['tab\tname', 'line\nend', 'back\\slash', '\\N', "quote'", '"', 'bell\u0007', '\ufffd', '😀']
  alone.agent.readIndex = async () =>
    Readable.from(
      [
        volume,
        told(
          '/odd\t\n\\',
          [...names, { b64: '/w==' }].map((name) => [name, 'f', 1, -1]),
        ),
        { end: true },
      ].map((one) => Buffer.from(`${JSON.stringify(one)}\n`)),
    )
  expect(await index(id)).toMatchObject({ status: 'completed', entry_count: names.length + 1 })
  for (const name of names) {
    const path = encodeURIComponent(`/odd\t\n\\/${name}`)
    expect((await get(`/files/history?vm_name=hostile%20reader&path=${path}`)).versions, name).toMatchObject([
      { path: `/odd\t\n\\/${name}`, modified_time: '1969-12-31T23:59:59.999Z' },
    ])
  }
  const bytes = Buffer.concat([Buffer.from('/odd\t\n\\/'), Buffer.from([0xff])]).toString('base64')
  const { versions } = await get(`/files/history?vm_name=hostile%20reader&path_b64=${encodeURIComponent(bytes)}`)
  expect(versions).toMatchObject([{ path_b64: bytes }])
  alone.agent.readIndex = whole
})

it('is told only of what is new since the point before', async () => {
  const vm = await readyVm(alone, { name: 'marks' })
  const paths = Array.from({ length: 40 }, (_, at) => `/folder/file-${at}`)
  const tree: Tree = { '/folder': null, '/other': null, '/other/same': 'x' }
  for (const path of paths) tree[path] = 'x'
  const ids = [await backUp(vm, tree)]
  expect((await index(ids[0]!)).entry_count).toBe(43)
  const gone = paths[3]!
  const changed: Tree = { ...tree, [paths[1]!]: 'longer', '/folder/new': '' }
  delete changed[gone]
  ids.push(await backUp(vm, changed))
  expect((await index(ids[1]!)).entry_count).toBe(43)
  const lines = (
    alone.agent.toldIndexes
      .at(-1)!
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)) as IndexLine[]
  ).flatMap((line) => ('folder' in line ? [line] : []))
  const of = (folder: string) => lines.filter((line) => line.folder === folder)
  expect(of('/other').map(({ entries, same }) => [entries.length, same])).toEqual([[0, 1]])
  // Where a name is new or gone, all names of that part; else what has changed.
  for (const { from, bits, same, entries, unnamed } of of('/folder')) {
    const isIn = (path: string) => sliceOf(nameHash(path.slice('/folder/'.length)), bits) === from
    const byPrefix = new Map(paths.map((path) => [prefixOf(nameHash(path.slice('/folder/'.length))), path]))
    const named = entries.map(([name]) => `/folder/${name as string}`)
    const names = [...named, ...unnamed.map(([prefix]) => byPrefix.get(prefix)!)].toSorted()
    const all = Object.keys(changed).filter((path) => path.startsWith('/folder/') && isIn(path))
    const isWhole = isIn('/folder/new') || isIn(gone)
    expect(names).toEqual(isWhole ? all.toSorted() : [paths[1]!].filter(isIn))
    expect(same).toBe(isWhole ? null : all.length - names.length)
  }
  const { changes } = await get(`/backups/${ids[0]}/diff/${ids[1]}`)
  expect(changes.map(({ path, change }: any) => [path, change])).toEqual(
    [
      [paths[1], 'changed'],
      [gone, 'removed'],
      ['/folder/new', 'added'],
    ].toSorted(([a], [b]) => (a! < b! ? -1 : 1)),
  )
  // Nothing is known of a point that was deleted: all is told again.
  await alone.call('DELETE', `/backups/${ids[1]}`)
  ids[1] = await backUp(vm, changed)
  expect((await index(ids[1]!)).entry_count).toBe(43)
  expect(alone.agent.toldIndexes.at(-1)).not.toMatch(/"same":[1-9]/)
})

it('finds page by page, each file once, by whatever words lead to it', async () => {
  const vm = await readyVm(alone, { name: 'paged' })
  const tree: Tree = {}
  // More folders than are looked through at once; of each name several words begin with what is sought, and in small folders all of it is one part.
  for (let at = 0; at < 250; at++) tree[`/folder-${at}/needle needles-${at}.txt`] = 'x'
  for (let at = 0; at < 300; at++) tree[`/wide/straw-${at} needling.txt`] = 'x'
  tree['/wide/İstanbul.txt'] = 'x'
  const id = await backUp(vm, tree)
  expect((await index(id)).status).toBe('completed')
  const pages: any[] = []
  for (let offset = 0; ; offset += 90) {
    const page = await get(`/search?q=needl&vm_name=paged&limit=90&offset=${offset}`)
    pages.push(...page.files)
    expect(page.has_more).toBe(page.next_offset !== null)
    if (!page.has_more) break
  }
  expect(pages.map(({ path }) => path).toSorted()).toEqual(
    Object.keys(tree)
      .filter((path) => path.includes('needl'))
      .toSorted(),
  )
  // The other word is in few of what the first finds, and in none of another machine.
  expect((await search('q=needling%20straw-299')).map(({ path }) => path)).toEqual(['/wide/straw-299 needling.txt'])
  expect(await search('q=needling&vm_name=marks')).toEqual([])
  expect(await search('q=needling&vm_name=nobody')).toEqual([])
  expect((await search('q=stanbul')).map(({ path }) => path)).toEqual(['/wide/İstanbul.txt'])
})

it('finds what has several words, also in folders that have grown and shrunk', async () => {
  const vm = await readyVm(alone, { name: 'grown' })
  const trees: Tree[] = [1, 3, 12, 40, 7, 2].map((count) =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`/grown/common-${at} usual-${count}.txt`, 'x'])),
  )
  const sentence = Array.from({ length: 30 }, (_, at) => `s${at}`).join(' ')
  for (const tree of trees) tree[`/grown/${sentence} common.txt`] = 'x'
  // Of many words that begin alike none is looked up.
  for (const tree of trees) for (let at = 0; at < 30; at++) tree[`/grown/many${at}x common.txt`] = 'x'
  for (const tree of trees) expect((await index(await backUp(vm, tree))).status).toBe('completed')
  const found = async (query: string) => (await search(`vm_name=grown&limit=200&${query}`)).map(({ path }) => path)
  for (const query of ['q=common+usual', 'q=usual+comm+txt', 'q=us+co'])
    expect((await found(query)).toSorted()).toEqual(['/grown/common-0 usual-2.txt', '/grown/common-1 usual-2.txt'])
  // Twelve of the third point, and `common-12 usual-40`.
  expect((await found('q=usual-12+common&deleted=true')).length).toBe(13)
  expect(await found('q=usual-40+common-39&deleted=true')).toEqual(['/grown/common-39 usual-40.txt'])
  expect((await found('q=many+common')).length).toBe(30)
  expect(await found('q=usual+many')).toEqual([])
  expect(await found('q=s29+s0+common')).toEqual([`/grown/${sentence} common.txt`])
  expect(await found('q=usual+nowhere')).toEqual([])
})

it('forgets the words of a machine that is gone, and no others', async () => {
  const count = async () =>
    ((await alone.db.pool.query('SELECT word FROM file_words')) as unknown as [{ word: string }[]])[0].map(
      ({ word }) => word,
    )
  const before = (await count()).toSorted()
  const vm = await readyVm(alone, { name: 'soon gone' })
  const id = await backUp(vm, Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`/a/vanishing ${at}`, 'x'])))
  await index(id)
  expect((await count()).length).toBeGreaterThan(before.length + 50)
  expect((await alone.call('DELETE', `/backups/${id}`)).status).toBe(200)
  await alone.db.pool.query("DELETE FROM vm_backup_contexts WHERE vm_name = 'soon gone'")
  await forgetDeletedFolders(alone.db, 7)
  expect((await count()).toSorted()).toEqual(before)
})

it('gives one file in one step', async () => {
  const vm = await readyVm(alone, { name: 'one step' })
  const id = await backUp(vm, {})
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
  const file = (path: string, volume = 'disk 0 partition 0') =>
    alone.call('GET', `/backups/${id}/file?${new URLSearchParams({ path, volume })}`)
  const { status, body, headers } = await file('/etc/hostname')
  expect([status, body]).toEqual([200, 'guest\n'])
  expect(headers.get('content-disposition')).toContain('hostname')
  expect(headers.get('content-length')).toBe('6')
  expect((await get('/admin/audit?limit=1')).entries[0]).toMatchObject({
    status_code: 200,
    path: `/api/v1/backups/${id}/file`,
    details: { backup_id: id, path: '/etc/hostname', volume: 'disk 0 partition 0' },
  })
  expect((await file('/gone')).body.code).toBe('FILE_NOT_FOUND')
  expect((await file('/etc')).body.code).toBe('IS_DIRECTORY')
  expect((await file('etc')).body.code).toBe('PATH_INVALID')
  expect((await alone.call('GET', '/backups/none/file?path=/x&volume=v')).body.code).toBe('BACKUP_NOT_FOUND')
})

it('says what is not indexed, and what could not be', async () => {
  const vm = await readyVm(alone, { name: 'unknown' })
  const [first, second] = [await backUp(vm, { '/a': 'a' }), await backUp(vm, { '/a': 'b' })]
  // No policy asks for it.
  expect((await get(`/backups/${first}`)).file_index).toBeNull()
  expect((await get(`/backups/${first}/diff/${second}`)).code).toBe('NOT_INDEXED')
  expect((await alone.call('POST', '/backups/none/index')).body.code).toBe('BACKUP_NOT_FOUND')
  expect(await indexCutOff(first, 1)).toMatchObject({
    status: 'failed',
    error_message: 'The walk through the files was cut off',
  })
  expect(await search('q=a&vm_name=unknown')).toEqual([])
  await alone.call('POST', `/backups/${second}/index`)
  await runIndexes(alone.bindings, untilDone, 0)
  expect((await get(`/backups/${second}`)).file_index).toMatchObject({
    status: 'failed',
    error_message: 'The backup has more than 0 files and folders',
  })
  // Asked for again, it is done again.
  expect(await index(first)).toMatchObject({ status: 'completed', entry_count: 1 })
  // A hub that died on the way leaves it to the next round.
  await alone.db.pool.query("UPDATE file_indexes SET status = 'running' WHERE backup_job_id = ?", [first])
  await runIndexes(alone.bindings, untilDone)
  expect((await get(`/backups/${first}`)).file_index.status).toBe('completed')
  expect((await search('q=a&vm_name=unknown')).length).toBe(1)
})

/** What a hub leaves that dies while it walks through a point. */
const dieWhileIndexing = async ({ id, tree }: { id: string; tree: Tree }) => {
  const { job } = (await findBackup(alone.db.orm, id))!
  const contextId = job.vmBackupContextId
  const known = await indexedPoints(alone.db.orm, [contextId])
  const at = job.completedAt!.getTime()
  const volumeId = await ensureVolume(alone.db.orm, contextId, 'disk 0 partition 0')
  await mergeDeltas(alone.db)
  const writer = await FileIndexWriter.open(
    alone.db,
    contextId,
    at,
    known.map(({ pointAt }) => pointAt),
    1,
  )
  for (const [path, content] of Object.entries(tree)) {
    const { folder, name } = splitPath(Buffer.from(path))
    const entry: IndexedEntry = [name, 'f', content!.length, 1e6]
    const line: IndexedFolder = {
      folder,
      bits: 0,
      from: 0,
      to: 1,
      same: null,
      entries: [entry],
      unnamed: [],
    }
    await writer.add(volumeId, line)
  }
  await writer.close()
}

const foldersOf = `file_folders f JOIN file_volumes o ON o.id = f.volume_id JOIN file_indexes i ON i.vm_backup_context_id = o.vm_backup_context_id AND i.backup_job_id = ?`
/** All that is kept of the files of a VM. */
const allOf = async (backupId: string) => {
  const [folders] = (await alone.db.pool.query(`SELECT DISTINCT f.id, f.path FROM ${foldersOf}`, [
    backupId,
  ])) as unknown as [{ id: number; path: string }[]]
  const paths = new Map(folders.map(({ id, path }) => [id, path]))
  const versions = await readVersions(
    alone.db.pool,
    folders.map(({ id }) => wholeFolder(id)),
  )
  return versions.map(({ folderId, entry: [name, , size], firstAt, lastAt }) => ({
    ...{ folderId, name: name as string, size, firstAt, lastAt },
    path: `${paths.get(folderId)}/${name as string}`,
  }))
}
const countOfDeltas = async () =>
  ((await alone.db.pool.query('SELECT COUNT(*) AS count FROM file_deltas')) as any)[0][0].count as number
/** Words by which the files of a VM are found, with their folders. */
const wordsAsKept = async (backupId: string) => {
  const [rows] = (await alone.db.pool.query(
    `SELECT DISTINCT CONCAT(f.id, ' ', w.word) AS word FROM ${foldersOf} JOIN file_words w ON w.folder_id = f.id`,
    [backupId],
  )) as unknown as [{ word: string }[]]
  return rows.map(({ word }) => word).sort()
}
const wordsAsTheyShouldBe = async (backupId: string) =>
  [
    ...new Set(
      (await allOf(backupId)).flatMap(({ folderId, name }) => name.split(' ').map((word) => `${folderId} ${word}`)),
    ),
  ].sort()

const byPath = ([a]: unknown[], [b]: unknown[]) => ((a as string) < (b as string) ? -1 : 1)

it('knows of each point exactly what it has, in whatever order they are indexed and deleted', async () => {
  const random = seeded(20261127)
  const paths = Array.from({ length: 30 }, (_, at) => `/folder ${at % 5}/file ${at}`)
  let over = 0
  for (let run = 0; run < 8; run++) {
    const vm = await readyVm(alone, { name: `order ${run}` })
    const points: { id: string; tree: Tree }[] = []
    let tree: Tree = Object.fromEntries(paths.map((path) => [path, 'x']))
    for (let point = 0; point < 7; point++) {
      tree = { ...tree }
      for (let change = 0; change < 6; change++) {
        const path = paths[random(paths.length)]!
        if (random(3) === 0) delete tree[path]
        // Sizes come back: a version that was there once is there again.
        else tree[path] = 'x'.repeat(random(3))
      }
      points.push({ id: await backUp(vm, tree), tree })
    }
    const order = points
      // Some one after the other, as they are made: then most of each is known from the one before.
      .map((point) => ({
        point,
        rank: run % 2 ? point.id : createHash('md5').update(`${run} ${point.id}`).digest('hex'),
      }))
      .toSorted((a, b) => a.rank.localeCompare(b.rank))
    const deleted = new Set<string>()
    for (const [done, { point }] of order.entries()) {
      const seldom = run % 2 ? 8 : 2
      if (random(seldom) === 0) await dieWhileIndexing(point)
      const forMs = random(2) === 0 ? forOne : untilDone
      if (random(2 * seldom) === 0) expect((await indexCutOff(point.id, 1 + random(4), forMs)).status).toBe('failed')
      expect((await index(point.id, forMs)).status).toBe('completed')
      over += await countOfDeltas()
      const all = await allOf(point.id)
      const { job } = (await findBackup(alone.db.orm, point.id))!
      const known = await indexedPoints(alone.db.orm, [job.vmBackupContextId])
      // Nothing is kept of what no point has any more; what was newer than all of them is left to the next that is.
      const isNewest = known[0]!.backupJobId === point.id
      for (const { firstAt, lastAt, path } of all)
        if (isNewest || firstAt <= known[0]!.pointAt)
          expect(
            known.some(({ pointAt }) => pointAt >= firstAt && pointAt < lastAt),
            path,
          ).toBe(true)
      for (const { backupJobId, pointAt } of known) {
        const own = all.filter(({ firstAt, lastAt }) => firstAt <= pointAt && lastAt > pointAt)
        const { tree } = points.find(({ id }) => id === backupJobId)!
        expect(own.map(({ path, size }) => [path, size]).sort(byPath)).toEqual(
          Object.entries(tree)
            .map(([path, content]) => [path, content!.length])
            .sort(byPath),
        )
      }
      const left = order.slice(0, done + 1).filter((one) => !deleted.has(one.point.id))
      expect(known.map(({ backupJobId }) => backupJobId).sort()).toEqual(left.map((one) => one.point.id).sort())
      for (const { point: from } of left)
        for (const { point: to } of left) {
          const { changes, has_more } = await get(`/backups/${from.id}/diff/${to.id}?limit=200`)
          expect(has_more).toBe(false)
          const said = (changes as any[]).map(({ path, before, after }) => [path, before?.size, after?.size])
          expect(said).toEqual(
            [...new Set([...Object.keys(from.tree), ...Object.keys(to.tree)])]
              .map((path) => [path, from.tree[path]?.length, to.tree[path]?.length])
              .filter(([, before, after]) => before !== after)
              .sort(byPath),
          )
        }
      expect(await wordsAsKept(point.id)).toEqual(await wordsAsTheyShouldBe(point.id))
      // As the deletion of a backup does it.
      if (random(3) > 0) continue
      const gone = order[random(done + 1)]!.point.id
      await alone.db.pool.query('DELETE FROM file_indexes WHERE backup_job_id = ?', [gone])
      deleted.add(gone)
    }
  }
  // Much of that was asked while something lay over the slices.
  expect(over).toBeGreaterThan(15)
})
