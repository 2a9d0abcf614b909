import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { contractRoutes } from '../../contract/routes.ts'
import { type Alone, openAlone, password } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())
const login = (username: string, given: string) =>
  alone.call('POST', '/auth/login', { username, password: given }, { token: null })

it('logs in and tells who it is', async () => {
  const { status, body } = await login('operator', password)
  expect(status).toBe(200)
  expect(body).toMatchObject({
    token_type: 'Bearer',
    user: { username: 'operator', role: 'operator', display_name: 'operator' },
  })
  expect(Date.parse(body.expires_at) - alone.clock.now().getTime()).toBe(24 * 3600 * 1000)
  expect((await alone.call('GET', '/auth/me', undefined, { token: body.token })).body.user.username).toBe('operator')
})
it('answers an unknown user and a wrong password alike', async () => {
  const [unknown, wrong] = [await login('nobody', 'x'), await login('viewer', 'x')]
  for (const { status, body } of [unknown, wrong])
    expect([status, body.code, body.error, body.details]).toEqual([
      401,
      'INVALID_CREDENTIALS',
      unknown.body.error,
      unknown.body.details,
    ])
})
it('takes a name in another case for another user', async () => {
  expect((await login('ADMIN', password)).status).toBe(401)
})
it('brakes guessing after ten failures, for that name alone', async () => {
  for (let failure = 0; failure < 10; failure++) expect((await login('admin', `wrong ${failure}`)).status).toBe(401)
  const { status, body, headers } = await login('admin', password)
  expect([status, body.code]).toEqual([429, 'RATE_LIMITED'])
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await login('viewer', password)).status).toBe(200)
})
it('names each bad field', async () => {
  const { status, body } = await alone.call('POST', '/auth/login', { username: '', extra: 1 }, { token: null })
  expect(status).toBe(400)
  expect(body).toMatchObject({
    code: 'VALIDATION_FAILED',
    fields: [
      { field: 'username', code: 'LENGTH' },
      { field: 'password', code: 'REQUIRED' },
    ],
  })
})

it('says how it is, open to all, at both addresses', async () => {
  for (const path of ['/health', 'root:/health']) {
    const { status, body } = await alone.call('GET', path, undefined, { token: null })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      service: 'sendense-hub',
      status: 'healthy',
      database: 'connected',
      checks: { database: 'ok', host_agent: 'ok', source_node: 'ok' },
    })
  }
})
it('is degraded without its agent', async () => {
  alone.agent.down = true
  expect((await alone.call('GET', '/health')).body).toMatchObject({
    status: 'degraded',
    checks: { host_agent: 'error' },
  })
  expect((await alone.call('GET', '/debug/health')).body.system_info.system_health).toBe('degraded')
  alone.agent.down = false
})
it('shows its parts, routes, requests and failover counts', async () => {
  expect((await alone.call('GET', '/debug/health')).body.debug_data).toMatchObject({
    active_jobs: 0,
    active_mounts: 0,
    nbd_ports_in_use: 0,
  })
  expect((await alone.call('GET', '/debug/failover-jobs')).body.debug_data.total_jobs).toBe(0)
  const { debug_data } = (await alone.call('GET', '/debug/endpoints')).body
  expect(debug_data.total_endpoints).toBe(contractRoutes.length)
  expect(debug_data.endpoints.restore).toContain('POST /api/v1/restore/mount')
  await alone.call('GET', '/vms?search=secret')
  const logs = (await alone.call('GET', '/debug/logs?limit=1')).body.debug_data
  expect(logs.recent_requests).toHaveLength(1)
  expect(JSON.stringify(logs)).not.toContain('secret')
  expect((await alone.call('GET', '/debug/logs?limit=501')).body.code).toBe('VALIDATION_FAILED')
})
it('serves API pages from its own files', async () => {
  const page = await alone.call('GET', 'root:/swagger/index.html', undefined, { token: null })
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html'])
  expect((await alone.call('GET', 'root:/swagger/doc.json', undefined, { token: null })).body.openapi).toBe('3.1.0')
  expect((await alone.call('GET', 'root:/swagger/nothing.js', undefined, { token: null })).status).toBe(404)
})
it('has a valid OpenAPI document that lists every route', async () => {
  const { body } = await alone.call('GET', 'root:/openapi.json', undefined, { token: null })
  const { valid, errors } = await new Validator().validate(body)
  expect(errors ?? []).toEqual([])
  expect(valid).toBe(true)
  const listed = Object.entries(body.paths as Record<string, object>).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const names = (route: string) => route.replace(/\{[^}]*\}/g, '{}').replace('*', '{}')
  // OpenAPI has no place for a method of WebDAV.
  const expected = [...contractRoutes].filter((route) => !route.startsWith('PROPFIND '))
  expect(listed).toHaveLength(expected.length)
  for (const route of expected) {
    const [method, path] = route.split(' ') as [string, string]
    expect(listed.map(names)).toContain(
      names(`${method} ${path.startsWith('root:') ? path.slice(5) : `/api/v1${path}`}`),
    )
  }
})

it('has the doctor look at the hub, for admins', async () => {
  const by = (token: string, method = 'GET') => alone.call(method, '/admin/doctor', undefined, { token })
  expect((await by(alone.tokens.operator)).status).toBe(403)
  expect((await by(alone.tokens.operator, 'POST')).status).toBe(403)
  expect((await by(alone.tokens.admin)).body).toMatchObject({ state: 'never', findings: [] })
  expect((await by(alone.tokens.admin, 'POST')).body).toMatchObject({ state: 'running' })
  expect((await by(alone.tokens.admin)).body).toMatchObject({ state: 'running' })
  alone.agent.down = true
  expect((await by(alone.tokens.admin)).status).toBe(503)
  alone.agent.down = false
})
