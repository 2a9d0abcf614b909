import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCopies } from '../../workflows/copy-backups.ts'
import { lockFiles } from '../../workflows/lock-files.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())
const create = (more: object = {}) =>
  alone.call('POST', '/repositories', { name: 'main', type: 'local', config: { path: '/backup/main' }, ...more })

it('tests and saves a repository, the fields at both places', async () => {
  const { status, body } = await create()
  expect(status).toBe(201)
  expect(body).toMatchObject({
    success: true,
    name: 'main',
    type: 'local',
    repository: { name: 'main' },
    config: { path: '/backup/main', disk_path: '/backup/main' },
    storage_info: { available_bytes: 9e11, used_percent: 10 },
    backup_count: 0,
  })
  expect(body.repository_id).toBe(body.id)
})
it('refuses what can not be one', async () => {
  expect((await create()).body.fields).toMatchObject([{ field: 'config.path', code: 'FORBIDDEN' }])
  expect((await create({ config: { path: '/other' } })).body.code).toBe('NAME_TAKEN')
  const bad = async (more: object) => (await create({ name: 'x', ...more })).body
  expect((await bad({ config: { path: '/backup/main/inside' } })).fields).toMatchObject([{ field: 'config.path' }])
  expect((await bad({ config: { path: '/missing' } })).code).toBe('REPOSITORY_TEST_FAILED')
  expect((await bad({ type: 's3', config: {} })).code).toBe('UNSUPPORTED_REPOSITORY_TYPE')
  expect((await bad({ config: {} })).fields).toMatchObject([{ field: 'config.path', code: 'REQUIRED' }])
  for (const path of ['relative', '/a/../b', '/a\nb'])
    expect((await bad({ config: { path } })).fields).toMatchObject([{ field: 'config.path', code: 'FORMAT' }])
  expect((await bad({ config: { path: '/i' }, is_immutable: true })).fields).toMatchObject([
    { field: 'min_retention_days', code: 'RANGE' },
  ])
})
it('tests a configuration without saving it', async () => {
  expect(
    (await alone.call('POST', '/repositories/test', { type: 'local', config: { disk_path: '/new' } })).body,
  ).toMatchObject({ success: true, error_details: null, storage_info: { total_bytes: 1e12 } })
  expect(
    (await alone.call('POST', '/repositories/test', { type: 'local', config: { path: '/missing' } })).body,
  ).toMatchObject({ success: false, storage_info: null })
  expect((await alone.call('GET', '/repositories')).body.total).toBe(1)
})
it('lists, filters, measures and sums up', async () => {
  const { id } = (await create({ name: 'b', config: { path: '/b' }, enabled: false })).body
  expect((await alone.call('GET', '/repositories?enabled=0')).body.repositories).toMatchObject([{ id }])
  expect((await alone.call('GET', '/repositories?type=nfs')).body.count).toBe(0)
  expect((await alone.call('GET', `/repositories/${id}`)).body.name).toBe('b')
  expect((await alone.call('GET', `/repositories/${id}/storage`)).body).toMatchObject({
    repository_id: id,
    total_bytes: 1e12,
    mount_point: '/b',
  })
  expect((await alone.call('POST', '/repositories/refresh-storage')).body).toMatchObject({
    refreshed_count: 2,
    failed_count: 0,
  })
  alone.agent.storage.used_bytes = 9.6e11
  expect((await alone.call('GET', '/repositories/storage-summary')).body.summary).toMatchObject({
    total_repositories: 2,
    enabled_repositories: 1,
    total_capacity_bytes: 2e12,
    overall_used_percentage: 96,
    repositories: [{ health_status: 'critical' }, { health_status: 'critical' }],
  })
  alone.agent.storage.used_bytes = 1e11
})
it('shows one that is offline without its storage', async () => {
  alone.agent.down = true
  expect((await alone.call('GET', '/repositories')).body.repositories[0].storage_info).toBeNull()
  expect((await alone.call('GET', '/repositories/storage-summary')).body.summary.repositories[0].health_status).toBe(
    'offline',
  )
  const [{ id }] = (await alone.call('GET', '/repositories')).body.repositories
  expect((await alone.call('GET', `/repositories/${id}/storage`)).body.code).toBe('SERVICE_UNAVAILABLE')
  alone.agent.down = false
})
it('tells an agent that has forgotten a repository of it again', async () => {
  const [{ id }] = (await alone.call('GET', '/repositories')).body.repositories
  alone.agent.repositories.delete(id)
  expect((await alone.call('GET', `/repositories/${id}/storage`)).status).toBe(200)
})
it('changes what may be changed', async () => {
  const vm = await readyVm(alone, { path: '/used' })
  await completedBackup(alone, vm)
  const path = `/repositories/${vm.repositoryId}`
  expect((await alone.call('PATCH', path, { name: 'renamed', min_retention_days: 3 })).body.repository).toMatchObject({
    name: 'renamed',
    min_retention_days: 3,
    backup_count: 1,
  })
  expect((await alone.call('PATCH', path, { config: { path: '/moved' }, type: 'nfs' })).body.fields).toMatchObject([
    { field: 'type', code: 'FORBIDDEN' },
    { field: 'config.path', code: 'FORBIDDEN' },
  ])
  expect((await alone.call('PATCH', path, {})).status).toBe(200)
  expect((await alone.call('PATCH', path, { name: 'main' })).body.code).toBe('NAME_TAKEN')
  expect((await alone.call('DELETE', path)).body).toMatchObject({ code: 'REPOSITORY_HAS_BACKUPS', backup_count: 1 })
  const frozen = (
    await create({ name: 'frozen', config: { path: '/frozen' }, is_immutable: true, min_retention_days: 7 })
  ).body.id
  expect((await alone.call('PATCH', `/repositories/${frozen}`, { min_retention_days: 6 })).body.fields).toMatchObject([
    { field: 'min_retention_days', code: 'RANGE' },
  ])
})
it('forgets one that is empty and unused', async () => {
  const { id } = (await create({ name: 'gone', config: { path: '/gone' } })).body
  await alone.db.pool.query("INSERT INTO backup_policies (id, name, primary_repository_id) VALUES ('p', 'weekly', ?)", [
    id,
  ])
  expect((await alone.call('DELETE', `/repositories/${id}`)).body).toMatchObject({
    code: 'REPOSITORY_IN_USE',
    policies: ['weekly'],
    flows: [],
  })
  await alone.db.pool.query('DELETE FROM backup_policies')
  expect((await alone.call('DELETE', `/repositories/${id}`)).body).toMatchObject({ success: true, id })
  for (const [method, tail] of [
    ['GET', ''],
    ['DELETE', ''],
    ['PATCH', ''],
    ['GET', '/storage'],
  ] as const)
    expect(
      (await alone.call(method, `/repositories/${id}${tail}`, method === 'PATCH' ? {} : undefined)).body.code,
    ).toBe('REPOSITORY_NOT_FOUND')
})

it('keeps network shares, and never shows their password', async () => {
  const nfs = await create({
    name: 'nas',
    type: 'nfs',
    config: { server: 'nas.example', export_path: '/backup', mount_options: 'timeo=20,noatime' },
  })
  expect(nfs.status).toBe(201)
  expect(nfs.body.config).toMatchObject({ server: 'nas.example', export_path: '/backup' })
  expect(nfs.body.config.mount_point).toBe(`/mnt/sendense/repositories/${nfs.body.id}`)
  const config = {
    server: '10.0.0.7',
    share_name: 'backup',
    username: 'u',
    password: 'a secret',
    mount_point: '/mnt/c',
  }
  const cifs = await create({ name: 'windows', type: 'cifs', config })
  expect(cifs.body.config).toEqual({
    ...{ server: '10.0.0.7', share_name: 'backup', username: 'u', mount_point: '/mnt/c' },
    password_set: true,
  })
  const shown = JSON.stringify((await alone.call('GET', '/repositories')).body)
  expect(shown).not.toMatch(/a secret|password_encrypted|enc:v1/)
  const [rows] = await alone.db.pool.query('SELECT config FROM backup_repositories')
  expect(JSON.stringify(rows)).not.toContain('a secret')
  expect(alone.agent.places.get(cifs.body.id)).toMatchObject({ type: 'cifs', password: 'a secret', options: [] })
  expect(alone.agent.places.get(nfs.body.id)).toMatchObject({ nfs_version: '4.1', options: ['timeo=20', 'noatime'] })

  const path = `/repositories/${cifs.body.id}`
  const changed = await alone.call('PATCH', path, { config: { password: 'another', server: '10.0.0.8' } })
  expect(changed.body.repository.config).toMatchObject({ server: '10.0.0.8', username: 'u', password_set: true })
  expect(alone.agent.places.get(cifs.body.id)).toMatchObject({ password: 'another', server: '10.0.0.8' })
  // What is not sent stays.
  await alone.call('PATCH', path, { config: { domain: 'WORK' } })
  expect(alone.agent.places.get(cifs.body.id)).toMatchObject({ password: 'another', domain: 'WORK' })
  alone.agent.repositories.delete(cifs.body.id)
  expect((await alone.call('GET', `${path}/storage`)).status).toBe(200)
  expect(alone.agent.places.get(cifs.body.id)).toMatchObject({ password: 'another' })
})
it('refuses shares that are none', async () => {
  const refused = async (type: string, config: object) => (await create({ name: 'bad', type, config })).body
  expect((await refused('nfs', {})).fields.map(({ field }: any) => field).sort()).toEqual([
    'config.export_path',
    'config.server',
  ])
  for (const config of [
    { server: 'nas,suid', export_path: '/x' },
    { server: '-o', export_path: '/x' },
    { server: 'nas', export_path: '/x/../y' },
    { server: 'nas', export_path: '/x', mount_options: 'suid' },
    { server: 'nas', export_path: '/x', nfs_version: '9' },
    { server: 'nas', export_path: '/x', mount_point: '/a/../b' },
  ])
    expect((await refused('nfs', config)).code, JSON.stringify(config)).toBe('VALIDATION_FAILED')
  for (const config of [
    { server: 'nas', share_name: '//host/../x' },
    { server: 'nas', share_name: 'x', username: 'u\nuid=0' },
    { server: 'nas', share_name: 'x', mount_options: 'uid=0' },
  ])
    expect((await refused('cifs', config)).code, JSON.stringify(config)).toBe('VALIDATION_FAILED')
  expect((await refused('s3', {})).code).toBe('UNSUPPORTED_REPOSITORY_TYPE')
})
it('locks the files of an immutable repository, and of copies in one, after the days of grace', async () => {
  const locked = (id: string) =>
    [...alone.agent.files].filter(([key]) => key.startsWith(id)).map(([, f]) => f.lockedUntil)
  alone.agent.lockless.add('/lockless')
  const immutable = { is_immutable: true, min_retention_days: 7 }
  expect((await create({ name: 'no locks', config: { path: '/lockless' }, ...immutable })).body.code).toBe(
    'REPOSITORY_TEST_FAILED',
  )
  const vm = await readyVm(alone, { name: 'locked', path: '/own' })
  const frozen = (await create({ name: 'ice', config: { path: '/ice' }, ...immutable })).body.id
  const graced = (
    await create({
      name: 'later',
      config: { path: '/later' },
      ...immutable,
      immutable_config: { type: 'linux_chattr', grace_period_days: 2, apply_to_incrementals: false },
    })
  ).body.id
  const own = await completedBackup(alone, { ...vm, repositoryId: frozen })
  alone.clock.advance(5)
  const full = await completedBackup(alone, { ...vm, repositoryId: graced })
  alone.clock.advance(5)
  await completedBackup(alone, { ...vm, repositoryId: graced }, 'incremental')
  const elsewhere = await completedBackup(alone, vm)
  await alone.call('POST', `/backups/${elsewhere.backup_id}/copy`, { repository_id: frozen, verify_after_copy: false })
  await runCopies(alone.bindings, 5_000)

  await lockFiles(alone.bindings)
  const until = (await alone.call('GET', `/backups/${own.backup_id}`)).body.locked_until
  expect(Date.parse(until) - alone.clock.now().getTime()).toBeGreaterThan(6.9 * 86_400_000)
  // Two disks of the backup, two of the copy.
  expect(locked(frozen).filter(Boolean)).toHaveLength(4)
  expect(locked(graced).filter(Boolean)).toHaveLength(0)
  expect((await alone.call('DELETE', `/backups/${elsewhere.backup_id}`)).body).toMatchObject({
    code: 'IMMUTABLE_RETENTION_ACTIVE',
    retention_expires_at: expect.any(String),
  })
  alone.clock.advance(3 * 86_400)
  alone.tokens.admin = await alone.freshToken()
  await lockFiles(alone.bindings)
  // The full, not the incremental.
  expect(locked(graced).filter(Boolean)).toHaveLength(2)
  expect((await alone.call('GET', `/backups/${full.backup_id}`)).body.locked_until).not.toBeNull()
  // Longer, when the repository says so.
  await alone.call('PATCH', `/repositories/${frozen}`, { min_retention_days: 30 })
  await lockFiles(alone.bindings)
  const later = (await alone.call('GET', `/backups/${own.backup_id}`)).body.locked_until
  expect(Date.parse(later) - Date.parse(until)).toBe(23 * 86_400_000)
  alone.agent.down = true
  await expect(lockFiles(alone.bindings)).resolves.toBeUndefined()
  await alone.call('PATCH', `/repositories/${graced}`, { min_retention_days: 40 })
  await expect(lockFiles(alone.bindings)).rejects.toThrow('does not answer')
  alone.agent.down = false
})
