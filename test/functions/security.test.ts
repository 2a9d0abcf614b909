/** The shared security suite: every route of the map, called by everyone who may not. */
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { roles } from '../../contract/api/auth.ts'
import { loadFunctions } from '../../runtime/load.ts'
import { registrations } from '../../runtime/router.ts'
import { routeMap } from '../../wrangler-style.config.ts'
import { type Alone, openAlone } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

const { routes } = await loadFunctions(routeMap(60), new URL('../../functions/', import.meta.url), '.ts')
const all = registrations(routes).map(({ method, path, route, alias }) => ({
  method,
  path: path.replace(/\{[^}]*\}/g, '1').replace('*', 'index.html'),
  role: alias?.role ?? route.role,
  callback: route.callback ?? false,
  basic: route.basic ?? false,
}))
const guarded = all.filter(({ role }) => role !== 'open')
const ask = (method: string, path: string, authorization?: string) =>
  alone.app.request(path, { method, headers: authorization === undefined ? {} : { Authorization: authorization } })
const code = async (response: Response) => ((await response.json()) as { code: string }).code
const sign = (claims: object, key: Uint8Array, header: object = {}, audience = 'hub') =>
  new SignJWT({ sub: 'x', username: 'x', role: 'admin', ...claims })
    .setProtectedHeader({ alg: 'HS256', ...header })
    .setIssuer(alone.bindings.KEYS.hubId)
    .setAudience(audience)
    .setIssuedAt(alone.clock.now())
    .setExpirationTime(Math.floor(alone.clock.now().getTime() / 1000) + 60)
    .sign(key)

describe('every route', () => {
  it('is open only where the contract says so', () => {
    expect(
      all
        .filter(({ role }) => role === 'open')
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    ).toEqual(
      [
        'GET /api/v1/health',
        'GET /health',
        'GET /openapi.json',
        'GET /swagger/index.html',
        'OPTIONS /api/v1/restore/1/dav/index.html',
        'POST /api/v1/auth/login',
      ].sort(),
    )
  })
  it.each(guarded)('$method $path refuses a caller without a token', async ({ method, path, basic }) => {
    for (const authorization of [undefined, '', 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer a b']) {
      const response = await ask(method, path, authorization)
      expect(response.status).toBe(401)
      // Where a password is taken, that one is none.
      const isPassword = basic && authorization?.startsWith('Basic ')
      expect(await code(response)).toBe(isPassword ? 'TOKEN_INVALID' : 'UNAUTHENTICATED')
    }
  })
  it.each(guarded)('$method $path refuses tokens that are not its own', async ({ method, path, callback }) => {
    const { KEYS } = alone.bindings
    const other = new Uint8Array(32).fill(7)
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"role":"admin"}').toString('base64url')}.`
    const strangers = [
      await sign({}, other),
      none,
      'garbage',
      await sign({}, KEYS.signingKey, {}, 'download'),
      await new SignJWT({ role: 'admin' })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer('another hub')
        .setAudience('hub')
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(KEYS.signingKey),
    ]
    for (const token of strangers) expect(await code(await ask(method, path, `Bearer ${token}`))).toBe('TOKEN_INVALID')
    const old = await new SignJWT({ sub: 'x', role: 'admin' })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(KEYS.hubId)
      .setAudience('hub')
      .setIssuedAt(1)
      .setExpirationTime(2)
      .sign(KEYS.signingKey)
    expect(await code(await ask(method, path, `Bearer ${old}`))).toBe('TOKEN_EXPIRED')
    if (callback) return
    const job = await KEYS.jobToken({ jobType: 'backup', jobId: 'backup-x-1', vmName: 'x' }, alone.clock.now())
    const refused = await ask(method, path, `Bearer ${job}`)
    expect([refused.status, await code(refused)]).toEqual([403, 'TOKEN_SCOPE'])
  })
  it.each(guarded.filter(({ role }) => role !== 'viewer'))(
    '$method $path needs its role',
    async ({ method, path, role }) => {
      for (const lesser of roles.slice(0, roles.indexOf(role as 'admin'))) {
        const response = await ask(method, path, `Bearer ${alone.tokens[lesser]}`)
        expect([response.status, await code(response)]).toEqual([403, 'FORBIDDEN'])
      }
    },
  )
})

describe('the router', () => {
  it('answers an unknown route and a known one with another method alike', async () => {
    for (const [method, path] of [
      ['GET', '/nothing'],
      ['PATCH', '/backups'],
      ['DELETE', '/auth/login'],
    ] as const) {
      const { status, body } = await alone.call(method, path)
      expect([status, body.code]).toEqual([404, 'ROUTE_NOT_FOUND'])
    }
  })
  it('takes over a request id of the right form and makes one otherwise', async () => {
    expect(
      (await alone.call('GET', '/vms', undefined, { headers: { 'X-Request-ID': 'req-7.a_B' } })).headers.get(
        'x-request-id',
      ),
    ).toBe('req-7.a_B')
    expect(
      (await alone.call('GET', '/vms', undefined, { headers: { 'X-Request-ID': 'a b' } })).headers.get('x-request-id'),
    ).toMatch(/^[0-9a-f-]{36}$/)
  })
  it('forbids caching of answers, and lets only configured origins in', async () => {
    const { headers } = await alone.call('GET', '/vms', undefined, { headers: { Origin: 'https://console.example' } })
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('access-control-allow-origin')).toBe('https://console.example')
    expect(
      (await alone.call('GET', '/vms', undefined, { headers: { Origin: 'https://evil.example' } })).headers.get(
        'access-control-allow-origin',
      ),
    ).toBeNull()
  })
  it('refuses bodies that are no JSON object of bounded size and depth', async () => {
    const post = async (body: string, headers: Record<string, string> = {}) =>
      (await alone.call('POST', '/repositories', body, { headers })).body.code
    expect(await post('{')).toBe('INVALID_JSON')
    expect(await post('[]')).toBe('INVALID_JSON')
    expect(await post('null')).toBe('INVALID_JSON')
    expect(await post(`{"x":${'['.repeat(200_000)}${']'.repeat(200_000)}}`)).toBe('INVALID_JSON')
    expect(await post('{}', { 'Content-Type': 'text/plain' })).toBe('UNSUPPORTED_MEDIA_TYPE')
    expect(await post('{}', { 'Content-Encoding': 'gzip' })).toBe('UNSUPPORTED_MEDIA_TYPE')
    expect(await post(`{"name":"${'x'.repeat(1024 * 1024)}"}`)).toBe('BODY_TOO_LARGE')
    expect(await post('')).toBe('VALIDATION_FAILED')
  })
  it('says that the database does not answer, and nothing of why', async () => {
    const broken = await openAlone()
    await broken.close()
    const { status, body } = await broken.call('GET', '/vms')
    expect(status).toBeGreaterThanOrEqual(500)
    expect(JSON.stringify(body)).not.toMatch(/mysql|pool|stack/i)
  })
})
