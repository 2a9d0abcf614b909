import { afterAll, beforeAll, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { type Alone, openAlone } from '../support/alone.ts'

let alone: Alone
let second: number
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())
const set = { credential_name: 'one', vcenter_host: 'vc.example', username: 'u', password: 'geheim', datacenter: 'DC' }

it('keeps sets, the password never shown', async () => {
  expect((await alone.call('GET', '/vmware-credentials')).body).toMatchObject({
    credentials: [],
    count: 0,
    status: 'success',
  })
  const { status, body } = await alone.call('POST', '/vmware-credentials', set)
  expect(status).toBe(201)
  expect(body.credential).toMatchObject({
    id: 1,
    name: 'one',
    credential_name: 'one',
    has_password: true,
    is_active: true,
    is_default: false,
    created_by: 'admin',
    usage_count: 0,
  })
  expect(JSON.stringify(body)).not.toContain('geheim')
  expect((await alone.call('POST', '/vmware-credentials', set)).body.code).toBe('NAME_TAKEN')
})
it('has at most one default', async () => {
  expect((await alone.call('GET', '/vmware-credentials/default')).body.code).toBe('NO_DEFAULT_CREDENTIAL')
  second = (await alone.call('POST', '/vmware-credentials', { ...set, credential_name: 'two', is_default: true })).body
    .credential.id
  expect((await alone.call('GET', '/vmware-credentials/default')).body.credentials.name).toBe('two')
  expect((await alone.call('PUT', '/vmware-credentials/1/set-default')).body.credential.is_default).toBe(true)
  const { credentials } = (await alone.call('GET', '/vmware-credentials')).body
  expect(credentials.map((row: { name: string; is_default: boolean }) => [row.name, row.is_default])).toEqual([
    ['one', true],
    ['two', false],
  ])
  await alone.call('PUT', `/vmware-credentials/${second}`, { is_active: false })
  expect((await alone.call('PUT', `/vmware-credentials/${second}/set-default`)).status).toBe(400)
})
it('changes only what is sent, and keeps the password for an empty one', async () => {
  const stored = async () =>
    (
      (await alone.db.pool.query('SELECT password_encrypted AS p FROM vmware_credentials WHERE id = 1'))[0] as {
        p: string
      }[]
    )[0]!.p
  const before = await stored()
  expect(
    (await alone.call('PUT', '/vmware-credentials/1', { username: 'other', password: '' })).body.credential,
  ).toMatchObject({ username: 'other', vcenter_host: 'vc.example' })
  expect(await stored()).toBe(before)
  await alone.call('PUT', '/vmware-credentials/1', { password: 'new' })
  expect(await stored()).not.toBe(before)
  expect((await alone.call('PUT', '/vmware-credentials/1', { credential_name: 'two' })).body.code).toBe('NAME_TAKEN')
})
it('tests a set through the node', async () => {
  expect((await alone.call('POST', '/vmware-credentials/1/test')).body).toMatchObject({
    success: true,
    status: 'success',
    error: null,
  })
  alone.node.failure = new HubError('DISCOVERY_FAILED', 'refused', { details: 'bad login' })
  expect((await alone.call('POST', '/vmware-credentials/1/test')).body).toMatchObject({
    success: false,
    status: 'failed',
    error: 'bad login',
  })
  alone.node.failure = new HubError('NODE_UNREACHABLE', 'gone')
  expect((await alone.call('POST', '/vmware-credentials/1/test')).body.code).toBe('NODE_UNREACHABLE')
  alone.node.failure = undefined
})
it('lets only a source of the node go without a login', async () => {
  const none = { ...set, credential_name: 'three', username: '', password: '' }
  expect((await alone.call('POST', '/vmware-credentials', none)).body.fields).toMatchObject([
    { field: 'username', code: 'LENGTH' },
    { field: 'password', code: 'LENGTH' },
  ])
  expect(
    (await alone.call('POST', '/vmware-credentials', { ...none, vcenter_host: 'image:lab' })).body.credential
      .has_password,
  ).toBe(false)
})
it('removes a set, and knows what it does not know', async () => {
  expect((await alone.call('DELETE', `/vmware-credentials/${second}`)).body).toMatchObject({
    status: 'success',
    affected_vms: 0,
  })
  for (const [method, path] of [
    ['GET', ''],
    ['PUT', ''],
    ['DELETE', ''],
    ['PUT', '/set-default'],
    ['POST', '/test'],
  ] as const)
    expect(
      (await alone.call(method, `/vmware-credentials/${second}${path}`, method === 'PUT' ? {} : undefined)).body.code,
    ).toBe('CREDENTIAL_NOT_FOUND')
  expect((await alone.call('GET', '/vmware-credentials/1')).body.name).toBe('one')
  for (const id of ['x', '1.5', '-1', '99999999999'])
    expect((await alone.call('GET', `/vmware-credentials/${id}`)).body.code).toBe('VALIDATION_FAILED')
})
