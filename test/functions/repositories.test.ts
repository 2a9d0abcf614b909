import { afterAll, beforeAll, expect, it } from 'vitest'
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
