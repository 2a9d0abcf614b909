import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let backupId: string
let count = 0
beforeAll(async () => {
  alone = await openAlone()
})
beforeEach(async () => {
  for (const id of [...alone.agent.mounts.keys()]) await alone.call('DELETE', `/restore/${id}`)
  const vm = await readyVm(alone, { name: `vm${++count}` })
  backupId = (await completedBackup(alone, vm)).backup_id
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
})
afterAll(() => alone.close())
const mount = (disk_index = 0, id = backupId) => alone.call('POST', '/restore/mount', { backup_id: id, disk_index })
const mounted = async (): Promise<string> => (await mount()).body.mount_id

it('mounts a disk, lists mounts and frees them', async () => {
  const { status, body } = await mount()
  expect(status).toBe(200)
  expect(body).toMatchObject({
    backup_id: backupId,
    disk_index: 0,
    status: 'mounted',
    mount_mode: 'read-only',
    filesystem_type: 'ext4',
    default_partition: 0,
    error_message: null,
  })
  expect(JSON.parse(body.partition_metadata)).toEqual(body.partitions)
  expect((await alone.call('GET', '/restore/mounts')).body).toMatchObject({
    count: 1,
    mounts: [{ mount_id: body.mount_id }],
  })
  expect((await alone.call('GET', `/restore/${body.mount_id}`)).body.vm_name).toBe(`vm${count}`)
  expect((await alone.call('GET', '/restore/resources')).body).toMatchObject({
    active_mounts: 1,
    max_mounts: 8,
    available_slots: 7,
    device_utilization: '12.5%',
    device_utilization_percent: 12.5,
  })
  expect((await alone.call('GET', '/restore/cleanup-status')).body).toMatchObject({
    running: true,
    cleanup_interval: '5m',
    idle_timeout: '1h',
  })
  expect((await mount()).body).toMatchObject({
    code: 'DISK_ALREADY_MOUNTED',
    mount_id: body.mount_id,
    status: 'mounted',
    expires_at: expect.any(String),
  })
  expect((await alone.call('DELETE', `/restore/${body.mount_id}`)).body).toEqual({
    message: 'backup unmounted successfully',
    mount_id: body.mount_id,
  })
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['GET', '/files'],
    ['GET', '/file-info?path=/'],
    ['GET', '/download?path=/x'],
    ['GET', '/download-directory?path=/'],
  ] as const)
    expect((await alone.call(method, `/restore/${body.mount_id}${path}`)).body.code).toBe('MOUNT_EXPIRED')
  expect((await alone.call('GET', `/restore/${randomUUID()}/files`)).body.code).toBe('MOUNT_NOT_FOUND')
  expect((await alone.call('GET', '/restore/nonsense')).body.code).toBe('MOUNT_NOT_FOUND')
})
it('opens all disks of a backup, or the one that is named, and nothing else', async () => {
  const asked = (body: object) => alone.call('POST', '/restore/mount', { backup_id: backupId, ...body })
  for (const body of [{}, { all_disks: true, disk_index: 0 }])
    expect((await asked(body)).body.fields).toEqual([expect.objectContaining({ field: 'disk_index' })])
  for (const secrets of [
    [{}],
    [{ password: '' }],
    [{ password: 'a', key_file: 'YQ==' }],
    [{ key_file: 'not base64!' }],
  ])
    expect((await asked({ all_disks: true, secrets })).body.code).toBe('VALIDATION_FAILED')
  const { status, body } = await asked({ all_disks: true, secrets: [{ password: 'p' }, { key_file: 'YQ==' }] })
  expect([status, body.all_disks, body.disk_index, body.guest]).toEqual([200, true, 0, null])
  expect((await alone.call('GET', `/restore/${body.mount_id}`)).body.all_disks).toBe(true)
  expect((await mount()).body.code).toBe('DISK_ALREADY_MOUNTED')

  const archive = (paths: object[], more: object = {}) =>
    alone.call('POST', `/restore/${body.mount_id}/archive`, { paths, ...more })
  expect((await archive([{ path: '/etc/hostname' }, { path: '/empty' }])).status).toBe(200)
  expect((await archive([{ path: '/etc' }], { format: 'rar' })).body.code).toBe('UNSUPPORTED_FORMAT')
  expect((await archive([{ path: '/gone' }])).body.code).toBe('FILE_NOT_FOUND')
  expect((await archive([{ path: '/' }])).body.code).toBe('PATH_INVALID')
  expect((await archive([{ path: '/etc' }, { path: '/partition-3/etc' }])).body.code).toBe('PATH_INVALID')
  expect((await archive([])).body.code).toBe('VALIDATION_FAILED')
})
it('lets one of many equal requests win', async () => {
  const replies = await Promise.all(Array.from({ length: 12 }, () => mount()))
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
  for (const { status, body } of replies) if (status !== 200) expect(body.code).toBe('DISK_ALREADY_MOUNTED')
  expect(alone.agent.mounts.size).toBe(1)
})
it('refuses what can not be mounted, and leaves nothing behind', async () => {
  expect((await mount(0, 'none')).body.code).toBe('BACKUP_NOT_FOUND')
  expect((await mount(7)).body.code).toBe('DISK_NOT_FOUND')
  alone.agent.mountable.clear()
  expect((await mount()).body).toMatchObject({
    code: 'NO_MOUNTABLE_FILESYSTEM',
    partitions: [{ number: 0, reason: 'no known filesystem' }],
  })
  alone.agent.files.clear()
  expect((await mount()).body.code).toBe('CHAIN_BROKEN')
  alone.agent.maxMounts = 0
  expect((await mount()).body).toMatchObject({ code: 'RESTORE_SLOTS_EXHAUSTED', active_mounts: 0, max_mounts: 0 })
  alone.agent.maxMounts = 8
  const vm = await readyVm(alone, { name: 'running' })
  const { body } = await alone.call('POST', '/backups', {
    vm_name: 'running',
    repository_id: vm.repositoryId,
    backup_type: 'full',
  })
  expect((await mount(0, body.backup_id)).body.code).toBe('BACKUP_NOT_COMPLETED')
  await alone.call('POST', `/backups/${body.backup_id}/cancel`)
  expect((await alone.call('GET', '/restore/mounts')).body.total).toBe(0)
})
it('ends with its backup, and when the agent ended it', async () => {
  const first = await mounted()
  await alone.agent.removeMount(first, 'expired')
  expect((await alone.call('GET', `/restore/${first}/files`)).body.code).toBe('MOUNT_EXPIRED')
  const second = await mounted()
  expect((await alone.call('DELETE', `/backups/${backupId}`)).status).toBe(200)
  expect(alone.agent.mounts.size).toBe(0)
  expect((await alone.call('GET', `/restore/${second}`)).body.code).toBe('MOUNT_EXPIRED')
})
it('is not ready while it is being mounted', async () => {
  const id = await mounted()
  // As it is before the agent has been asked.
  alone.agent.mounts.delete(id)
  await alone.db.pool.query("UPDATE restore_mounts SET status = 'mounting' WHERE id = ?", [id])
  expect((await alone.call('GET', `/restore/${id}/files`)).body.code).toBe('MOUNT_NOT_READY')
  expect((await alone.call('DELETE', `/restore/${id}`)).body.code).toBe('MOUNT_NOT_READY')
})

it('is not given up when it becomes ready while it is asked for', async () => {
  const id = await mounted()
  const { listFiles } = alone.agent
  alone.agent.listFiles = async () => {
    throw new HubError('MOUNT_NOT_FOUND', 'There is no such mount')
  }
  expect((await alone.call('GET', `/restore/${id}/files`)).body.code).toBe('MOUNT_NOT_READY')
  alone.agent.listFiles = listFiles
  expect((await alone.call('GET', `/restore/${id}/files`)).status).toBe(200)
})

it('lists directories', async () => {
  const id = await mounted()
  const list = async (query = '') => (await alone.call('GET', `/restore/${id}/files${query}`)).body
  expect(await list()).toMatchObject({
    path: '/',
    partition: 0,
    files: [
      { name: 'etc', type: 'directory' },
      { name: 'empty', type: 'file', size: 0 },
    ],
    total: 2,
    limit: 10_000,
    offset: 0,
    has_more: false,
    next_offset: null,
    truncated: false,
  })
  expect(await list('?limit=1')).toMatchObject({ count: 1, total_count: 2, has_more: true, next_offset: 1 })
  expect((await list('?recursive=true')).total).toBe(3)
  expect(await list('?path=/partition-0/etc')).toMatchObject({ path: '/etc', count: 1 })
  expect(await list(`?path_b64=${encodeURIComponent(Buffer.from('/etc').toString('base64'))}`)).toMatchObject({
    path: '/etc',
  })
  const codes = {
    '?path=/empty': 'NOT_A_DIRECTORY',
    '?path=/none': 'FILE_NOT_FOUND',
    '?path=/../etc': 'PATH_FORBIDDEN',
    '?path=etc': 'PATH_INVALID',
    '?path=': 'PATH_INVALID',
    '?path=/%00': 'PATH_INVALID',
    [`?path=/${'x'.repeat(5000)}`]: 'PATH_INVALID',
    '?partition=9': 'PARTITION_NOT_FOUND',
    '?partition=x': 'VALIDATION_FAILED',
    '?limit=0': 'VALIDATION_FAILED',
    '?path_b64=*': 'PATH_INVALID',
  }
  for (const [query, code] of Object.entries(codes)) expect((await list(query)).code, query).toBe(code)
  expect((await alone.call('GET', `/restore/${id}/file-info?path=/etc/hostname`)).body).toMatchObject({
    name: 'hostname',
    size: 6,
    uid: 0,
    partition: 0,
  })
  expect((await alone.call('GET', `/restore/${id}/file-info`)).body.fields).toMatchObject([
    { field: 'path', code: 'REQUIRED' },
  ])
})

it('sends files whole, in ranges, or not at all', async () => {
  const id = await mounted()
  const get = (headers: Record<string, string> = {}, path = '/etc/hostname') =>
    alone.call('GET', `/restore/${id}/download?path=${path}`, undefined, { headers })
  const whole = await get()
  expect([whole.status, whole.body]).toEqual([200, 'guest\n'])
  expect(Object.fromEntries(whole.headers)).toMatchObject({
    'accept-ranges': 'bytes',
    'content-length': '6',
    etag: '"6"',
    'content-disposition': 'attachment; filename="hostname"; filename*=UTF-8\'\'hostname',
    'x-content-type-options': 'nosniff',
  })
  for (const [range, bytes, contentRange] of [
    ['bytes=1-2', 'ue', 'bytes 1-2/6'],
    ['bytes=4-', 't\n', 'bytes 4-5/6'],
    ['bytes=-2', 't\n', 'bytes 4-5/6'],
    ['bytes=0-999', 'guest\n', 'bytes 0-5/6'],
  ]) {
    const part = await get({ Range: range! })
    expect([part.status, part.body, part.headers.get('content-range')]).toEqual([206, bytes, contentRange])
  }
  for (const range of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=5-2', 'bytes=-'])
    expect((await get({ Range: range })).status).toBe(200)
  const beyond = await get({ Range: 'bytes=6-' })
  expect([beyond.status, beyond.body.code, beyond.headers.get('content-range')]).toEqual([
    416,
    'RANGE_NOT_SATISFIABLE',
    'bytes */6',
  ])
  expect((await get({ Range: 'bytes=0-1', 'If-Range': '"old"' })).status).toBe(200)
  expect((await get({ Range: 'bytes=0-1', 'If-Range': '"6"' })).status).toBe(206)
  expect((await get({ 'If-None-Match': 'W/"6", "x"' })).status).toBe(304)
  expect((await get({ 'If-Modified-Since': new Date().toUTCString() })).status).toBe(304)
  const head = await alone.call('HEAD', `/restore/${id}/download?path=/etc/hostname`)
  expect([head.status, head.body, head.headers.get('content-length')]).toEqual([200, '', '6'])
  expect((await get({}, '/empty')).headers.get('content-length')).toBe('0')
  expect((await get({}, '/etc')).body).toMatchObject({
    code: 'IS_DIRECTORY',
    details: expect.stringContaining('download-directory'),
  })
  expect((await get({}, '/none')).body.code).toBe('FILE_NOT_FOUND')
})
it('sends directories as archives', async () => {
  const id = await mounted()
  const get = (query: string) => alone.call('GET', `/restore/${id}/download-directory?${query}`)
  const zip = await get('path=/etc')
  expect([zip.status, zip.headers.get('content-type'), zip.headers.get('content-disposition')]).toEqual([
    200,
    'application/zip',
    'attachment; filename="etc.zip"; filename*=UTF-8\'\'etc.zip',
  ])
  expect((await get('path=/&format=tar.gz')).headers.get('content-disposition')).toContain(`vm${count}-disk0-p0.tar.gz`)
  expect((await get('path=/etc&format=rar')).body.code).toBe('UNSUPPORTED_FORMAT')
  expect((await get('path=/empty')).body.code).toBe('NOT_A_DIRECTORY')
  const only = (...names: (string | Buffer)[]) =>
    get(`path=/etc&only=${names.map((name) => Buffer.from(name as string).toString('base64url')).join(',')}`)
  expect((await only('hostname')).status).toBe(200)
  expect((await only('hostname', 'none')).body.code).toBe('FILE_NOT_FOUND')
  for (const name of ['..', '.', 'a/b', '/etc', 'nul\0', 'x'.repeat(256)])
    expect([name, (await only('hostname', name)).body.code]).toEqual([name, 'PATH_INVALID'])
  expect((await only(...Array.from({ length: 1001 }, (_, at) => `${at}`))).body.code).toBe('PATH_INVALID')
  for (const text of ['', ',', 'a,,b', 'a b', '%00'])
    expect([text, (await get(`path=/etc&only=${text}`)).body.code]).toEqual([text, 'VALIDATION_FAILED'])
})
it('makes links that are good for one path of one mount', async () => {
  const id = await mounted()
  const link = await alone.call('POST', `/restore/${id}/download-token`, { path: '/etc/hostname' })
  expect(link.status).toBe(201)
  const follow = async (url: string) => alone.app.request(url)
  const codeOf = async (response: Response | Promise<Response>) =>
    ((await (await response).json()) as { code: string }).code
  expect(await (await follow(link.body.url)).text()).toBe('guest\n')
  expect((await follow(link.body.url)).status).toBe(200)
  const other = link.body.url.replace(
    encodeURIComponent(Buffer.from('/etc/hostname').toString('base64')),
    encodeURIComponent(Buffer.from('/empty').toString('base64')),
  )
  expect(await codeOf(follow(other))).toBe('TOKEN_SCOPE')
  expect(await codeOf(follow(link.body.url.replace('/download?', '/download-directory?')))).toBe('TOKEN_SCOPE')
  expect(
    await codeOf(alone.app.request(link.body.url, { headers: { Authorization: `Bearer ${alone.tokens.admin}` } })),
  ).toBe('UNAUTHENTICATED')
  const folder = await alone.call('POST', `/restore/${id}/download-token`, {
    path: '/etc',
    kind: 'directory',
    format: 'tar.gz',
  })
  expect((await follow(folder.body.url)).headers.get('content-type')).toBe('application/gzip')
  for (const [body, code] of [
    [{ path: '/etc' }, 'IS_DIRECTORY'],
    [{ path: '/empty', kind: 'directory' }, 'NOT_A_DIRECTORY'],
    [{ path: '/etc', kind: 'directory', format: 'x' }, 'UNSUPPORTED_FORMAT'],
    [{}, 'VALIDATION_FAILED'],
    [{ path: '/none' }, 'FILE_NOT_FOUND'],
  ] as const)
    expect((await alone.call('POST', `/restore/${id}/download-token`, body)).body.code).toBe(code)
  const begin = alone.clock.at
  alone.clock.advance(301)
  expect(await codeOf(follow(link.body.url))).toBe('TOKEN_EXPIRED')
  alone.clock.at = begin
  await alone.call('DELETE', `/restore/${id}`)
  expect(await codeOf(follow(link.body.url))).toBe('MOUNT_EXPIRED')
})
