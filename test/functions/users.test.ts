import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, openAlone, password } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())
const longPassword = 'a password of some length'
const login = (username: string, given: string) =>
  alone.call('POST', '/auth/login', { username, password: given }, { token: null })
const as = (token: string) => ({ token })
const create = async (username: string, role = 'operator') => {
  const { status, body } = await alone.call('POST', '/users', { username, role, password: longPassword })
  expect(status).toBe(201)
  const token: string = (await login(username, longPassword)).body.token
  return { id: body.user.id as string, token }
}

it('creates users, with a password of their own or one that is shown once', async () => {
  const given = await alone.call('POST', '/users', { username: 'anna', role: 'viewer', password: longPassword })
  expect([given.status, given.body.password]).toEqual([201, null])
  expect(given.body.user).toMatchObject({ username: 'anna', role: 'viewer', is_active: true, last_login_at: null })
  const made = await alone.call('POST', '/users', { username: 'bert', role: 'operator', display_name: 'Bert' })
  expect(made.body.password).toMatch(/^.{24}$/)
  expect((await login('bert', made.body.password)).body.user).toMatchObject({ role: 'operator', display_name: 'Bert' })
  expect((await alone.call('POST', '/users', { username: 'Anna', role: 'viewer' })).body.code).toBe('NAME_TAKEN')
  const { body } = await alone.call('GET', '/users?limit=2')
  expect(body).toMatchObject({ count: 2, total: 5, users: [{ username: 'admin' }, { username: 'anna' }] })
  expect(JSON.stringify(body)).not.toContain('scrypt')
})
it('refuses bad names, short passwords and everybody but admins', async () => {
  for (const username of ['', 'a b', '<b>', '../x', 'ü', 'x'.repeat(65)])
    expect((await alone.call('POST', '/users', { username, role: 'viewer' })).body.fields[0].field).toBe('username')
  expect((await alone.call('POST', '/users', { username: 'c', role: 'viewer', password: 'short' })).status).toBe(400)
  expect((await alone.call('POST', '/users', { username: 'c', role: 'root' })).status).toBe(400)
  for (const role of ['viewer', 'operator'] as const)
    for (const [method, path] of [
      ['GET', '/users'],
      ['POST', '/users'],
      ['PATCH', `/users/${randomUUID()}`],
      ['POST', `/users/${randomUUID()}/reset-password`],
      ['GET', '/admin/audit'],
    ] as const)
      expect((await alone.call(method, path, method === 'GET' ? undefined : {}, as(alone.tokens[role]))).status).toBe(
        403,
      )
})
it('ends the tokens of a user whose role or state changes, at once', async () => {
  const { id, token } = await create('carla')
  const me = () => alone.call('GET', '/auth/me', undefined, as(token))
  expect((await alone.call('PATCH', `/users/${id}`, { display_name: 'Carla' })).body.user.display_name).toBe('Carla')
  expect((await me()).status).toBe(200)
  expect((await alone.call('PATCH', `/users/${id}`, { role: 'viewer' })).body.user.role).toBe('viewer')
  expect((await me()).body.code).toBe('TOKEN_INVALID')
  const again: string = (await login('carla', longPassword)).body.token
  expect((await alone.call('PATCH', `/users/${id}`, { is_active: false })).body.user.is_active).toBe(false)
  expect((await alone.call('GET', '/auth/me', undefined, as(again))).body.code).toBe('TOKEN_INVALID')
  expect((await login('carla', longPassword)).body.code).toBe('INVALID_CREDENTIALS')
  expect((await alone.call('PATCH', `/users/${randomUUID()}`, {})).body.code).toBe('USER_NOT_FOUND')
})
it('always keeps one admin who can log in', async () => {
  const admin = (await alone.call('GET', '/auth/me')).body.id as string
  for (const change of [{ role: 'viewer' }, { is_active: false }])
    expect((await alone.call('PATCH', `/users/${admin}`, change)).body.code).toBe('LAST_ADMIN')
  // Two that demote each other at once, each with a token that nobody else ends.
  const { id, token } = await create('dora', 'admin')
  const replies = await Promise.all([
    alone.call('PATCH', `/users/${admin}`, { role: 'operator' }, as(token)),
    alone.call('PATCH', `/users/${id}`, { role: 'operator' }),
  ])
  // Whoever loses is told why, or is no admin any more when he is looked at.
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(replies.map(({ body }) => body.code)).toEqual(
    expect.arrayContaining([expect.toBeOneOf(['LAST_ADMIN', 'TOKEN_INVALID'])]),
  )
  const left = replies[0]!.status !== 200 ? alone.tokens.admin : (await login('dora', longPassword)).body.token
  await alone.call('PATCH', `/users/${admin}`, { role: 'admin' }, as(left))
  alone.tokens.admin = (await login('admin', password)).body.token
})
it('resets a password for another, and changes one of its own', async () => {
  const { id, token } = await create('emil')
  const reset = await alone.call('POST', `/users/${id}/reset-password`, {})
  expect((await alone.call('GET', '/auth/me', undefined, as(token))).status).toBe(401)
  const fresh: string = (await login('emil', reset.body.password)).body.token
  const change = (body: object, given = fresh) => alone.call('POST', '/auth/change-password', body, as(given))
  expect((await change({ current_password: 'wrong', new_password: longPassword })).body.code).toBe(
    'INVALID_CREDENTIALS',
  )
  expect((await change({ current_password: reset.body.password, new_password: 'short' })).status).toBe(400)
  const changed = await change({ current_password: reset.body.password, new_password: longPassword })
  expect(changed.status).toBe(200)
  expect((await alone.call('GET', '/auth/me', undefined, as(fresh))).status).toBe(401)
  expect((await alone.call('GET', '/auth/me', undefined, as(changed.body.token))).status).toBe(200)
  expect((await alone.call('POST', `/users/${id}/reset-password`, { password: longPassword })).body.password).toBeNull()
  expect((await alone.call('POST', `/users/${randomUUID()}/reset-password`, {})).body.code).toBe('USER_NOT_FOUND')
  const last: string = (await login('emil', longPassword)).body.token
  for (let failure = 0; failure < 10; failure++)
    await change({ current_password: `wrong ${failure}`, new_password: longPassword }, last)
  expect((await change({ current_password: longPassword, new_password: longPassword }, last)).body.code).toBe(
    'RATE_LIMITED',
  )
})

it('gives long-lived tokens that do no more than they may, and ends them at once', async () => {
  const { id, token } = await create('frida')
  const made = await alone.call('POST', '/api-tokens', { name: 'nightly', role: 'viewer' }, as(token))
  expect(made.status).toBe(201)
  expect(made.body.token).toMatch(/^sdh_[0-9a-f]{16}_[\w-]{43}$/)
  const apiToken: string = made.body.token
  expect((await alone.call('GET', '/auth/me', undefined, as(apiToken))).body).toMatchObject({
    username: 'frida',
    role: 'viewer',
    expires_at: null,
  })
  expect((await alone.call('POST', '/backups', {}, as(apiToken))).body.code).toBe('FORBIDDEN')
  // What a leaked token could make would outlive its revocation.
  for (const [path, body] of [
    ['/api-tokens', { name: 'another' }],
    ['/auth/change-password', { current_password: longPassword, new_password: longPassword }],
  ] as const)
    expect((await alone.call('POST', path, body, as(apiToken))).body.code).toBe('TOKEN_SCOPE')
  const [row] = (await alone.db.pool.query('SELECT * FROM api_tokens')) as unknown as [object[]]
  expect(JSON.stringify(row)).not.toContain(apiToken.slice(-43))
  const listed = (await alone.call('GET', '/api-tokens', undefined, as(token))).body
  expect(listed).toMatchObject({ total: 1, api_tokens: [{ name: 'nightly', last_used_at: expect.any(String) }] })
  expect((await alone.call('GET', '/api-tokens')).body.total).toBe(0)
  expect((await alone.call('GET', '/api-tokens?all=true')).body.total).toBe(1)
  expect((await alone.call('GET', '/api-tokens?all=true', undefined, as(token))).body.code).toBe('FORBIDDEN')
  const tokenId: string = made.body.api_token.id
  const revoke = (given: string) => alone.call('DELETE', `/api-tokens/${tokenId}`, undefined, as(given))
  expect((await revoke(alone.tokens.viewer)).body.code).toBe('API_TOKEN_NOT_FOUND')
  expect((await revoke(token)).status).toBe(200)
  expect((await alone.call('GET', '/auth/me', undefined, as(apiToken))).body.code).toBe('TOKEN_INVALID')
  const other = (await alone.call('POST', '/api-tokens', { name: 'x' }, as(token))).body
  expect((await alone.call('DELETE', `/api-tokens/${other.api_token.id}`)).status).toBe(200)
  const last: string = (await alone.call('POST', '/api-tokens', { name: 'y' }, as(token))).body.token
  await alone.call('PATCH', `/users/${id}`, { is_active: false })
  expect((await alone.call('GET', '/auth/me', undefined, as(last))).status).toBe(401)
})
it('shrinks tokens with their user, ends them in time, and refuses forged ones', async () => {
  const { id, token } = await create('gerd', 'admin')
  expect(
    (await alone.call('POST', '/api-tokens', { name: 'x', role: 'admin' }, as(alone.tokens.viewer))).body.code,
  ).toBe('FORBIDDEN')
  const made = (await alone.call('POST', '/api-tokens', { name: 'all', expires_in_days: 1 }, as(token))).body
  expect((await alone.call('GET', '/users', undefined, as(made.token))).status).toBe(200)
  await alone.call('PATCH', `/users/${id}`, { role: 'viewer' })
  expect((await alone.call('GET', '/users', undefined, as(made.token))).body.code).toBe('FORBIDDEN')
  const forged = `${made.token.slice(0, -4)}AAAA`
  for (const bad of [forged, 'sdh_0000000000000000_'.padEnd(64, 'A'), 'sdh_', 'sdh_x_y'])
    expect((await alone.call('GET', '/auth/me', undefined, as(bad))).body.code).toBe('TOKEN_INVALID')
  const { at } = alone.clock
  alone.clock.advance(24 * 3600 + 1)
  expect((await alone.call('GET', '/auth/me', undefined, as(made.token))).body.code).toBe('TOKEN_EXPIRED')
  alone.clock.at = at
})
it('limits how many tokens a user has', async () => {
  const { token } = await create('hans')
  for (let number = 0; number < 100; number++)
    expect((await alone.call('POST', '/api-tokens', { name: `n${number}` }, as(token))).status).toBe(201)
  expect((await alone.call('POST', '/api-tokens', { name: 'one more' }, as(token))).body.code).toBe('LIMIT_REACHED')
})
