import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())
const entries = async (query = '') => (await alone.call('GET', `/admin/audit${query}`)).body.entries as any[]

it('names who changed what, and how it ended; secrets are left out', async () => {
  const vm = await readyVm(alone)
  const { backup_id } = await completedBackup(alone, vm)
  await alone.call('DELETE', `/backups/${backup_id}`)
  await alone.call('DELETE', `/backups/${backup_id}`)
  const found = await entries()
  expect(found.map(({ action, status_code, code }) => [action, status_code, code])).toEqual([
    ['backups/delete', 404, 'BACKUP_NOT_FOUND'],
    ['backups/delete', 200, null],
    ['backups/complete', 200, null],
    ['backups/start', 200, null],
    ['repositories/create', 201, null],
    ['discovery/add-vms', 200, null],
    ['vmware-credentials/create', 201, null],
  ])
  expect(found[1]).toMatchObject({
    actor_kind: 'user',
    actor: 'admin',
    method: 'DELETE',
    path: `/api/v1/backups/${backup_id}`,
    details: { backup_id },
  })
  expect(found[6].details).toMatchObject({ vcenter_host: 'vc.example', username: 'backup', password: '(left out)' })
  expect(JSON.stringify(found)).not.toContain('secret-of-vc')
})
it('names refused tries of every kind, and no mere reading', async () => {
  const before = (await entries())[0].id
  await alone.call('GET', '/vms')
  await alone.call('GET', '/vms', undefined, { token: null })
  await alone.call('GET', '/vms', undefined, { token: 'nonsense' })
  await alone.call('POST', '/backups', { vm_name: 'web' }, { token: alone.tokens.viewer })
  await alone.call('POST', '/auth/login', { username: 'admin', password: 'wrong' }, { token: null })
  await alone.call('POST', '/telemetry/backup/none', {}, { token: null })
  const found = (await entries()).filter(({ id }) => id > before)
  expect(found.map(({ action, actor, code }) => [action, actor, code]).toReversed()).toEqual([
    ['vms/list', null, 'UNAUTHENTICATED'],
    ['vms/list', null, 'TOKEN_INVALID'],
    ['backups/start', 'viewer', 'FORBIDDEN'],
    ['auth/login', null, 'INVALID_CREDENTIALS'],
    ['telemetry/report', null, 'UNAUTHENTICATED'],
  ])
  expect(found[1].details).toEqual({ username: 'admin', password: '(left out)', cookie: false })
})
it('names downloads, also those by link', async () => {
  const vm = await readyVm(alone, { name: 'files' })
  const { backup_id } = await completedBackup(alone, vm)
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
  const { body: mount } = await alone.call('POST', '/restore/mount', { backup_id, disk_index: 0 })
  const path = '/etc/hostname'
  expect((await alone.call('GET', `/restore/${mount.mount_id}/download?path=${path}`)).status).toBe(200)
  const link = (await alone.call('POST', `/restore/${mount.mount_id}/download-token`, { path, kind: 'file' })).body
  await alone.call('GET', `/restore/${mount.mount_id}/download?path=${path}&token=${link.token}`, undefined, {
    token: null,
  })
  const found = await entries('?action=restore/download')
  expect(found.map(({ actor_kind, details }) => [actor_kind, details.path])).toEqual([
    ['download', path],
    ['user', path],
  ])
  expect(JSON.stringify(await entries())).not.toContain(link.token)
  await alone.call('DELETE', `/restore/${mount.mount_id}`)
})
it('pages, filters and exports', async () => {
  const { body } = await alone.call('GET', '/admin/audit?limit=2&offset=1')
  expect(body.count).toBe(2)
  expect(body.total).toBeGreaterThan(10)
  expect((await entries('?actor=viewer')).every(({ actor }) => actor === 'viewer')).toBe(true)
  expect(new Set((await entries('?status=201')).map(({ status_code }) => status_code))).toEqual(new Set([201]))
  expect(await entries('?since=2030-01-01T00:00:00Z')).toEqual([])
  expect((await entries('?until=2030-01-01T00:00:00%2B02:00')).length).toBe(body.total)
  const all = await alone.call('GET', '/admin/audit?format=ndjson')
  expect(all.headers.get('content-type')).toBe('application/x-ndjson')
  const lines = (all.body as string).trim().split('\n')
  expect(lines).toHaveLength(body.total)
  expect(JSON.parse(lines[0]!)).toEqual((await entries('?limit=1'))[0])
  expect((await alone.call('GET', '/admin/audit?format=csv')).status).toBe(400)
})
it('is not filled by a flood of calls without a token', async () => {
  const before = (await entries())[0].id
  await Promise.all(Array.from({ length: 100 }, () => alone.call('GET', '/vms', undefined, { token: null })))
  expect((await entries()).filter(({ id }) => id > before).length).toBeLessThanOrEqual(20)
})
