import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadGui } from '../../runtime/gui.ts'
import { createApp } from '../../runtime/router.ts'
import { projectRoot } from '../../runtime/version.ts'
import { type Alone, openAlone, password } from '../support/alone.ts'

let alone: Alone
let app: Alone['app']
beforeAll(async () => {
  alone = await openAlone()
  const gui = await loadGui(new URL('dist-gui/', projectRoot))
  const limits = { bodyMaxBytes: 1e6, bodyMaxDepth: 32, requestsMax: 100, stalledClientMs: 45_000 }
  app = createApp(alone.loaded.routes, alone.bindings, { limits, corsOrigins: [], gui })
})
afterAll(() => alone.close())

const host = 'hub.example:8082'
const own = { Host: host, Origin: `http://${host}` }
const send = (method: string, path: string, headers: Record<string, string> = {}, body?: object) =>
  app.request(`http://${host}/api/v1${path}`, {
    method,
    headers: { ...headers, ...(body ? { 'Content-Type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
const logIn = async (more: object = {}, headers: Record<string, string> = {}) =>
  send('POST', '/auth/login', headers, { username: 'operator', password, ...more })
const cookieOf = (response: Response) => response.headers.get('set-cookie')?.split(';')[0] ?? ''

describe('the cookie of a browser', () => {
  it('is set when it is asked for, and no script can read it', async () => {
    expect((await logIn()).headers.get('set-cookie')).toBeNull()
    const set = (await logIn({ cookie: true })).headers.get('set-cookie')
    expect(set).toMatch(/^sendense_session=[\w.-]+; Max-Age=86400; Path=\/; HttpOnly; SameSite=Strict$/)
    const secure = await logIn({ cookie: true }, { 'X-Forwarded-Proto': 'https' })
    expect(secure.headers.get('set-cookie')).toMatch(/; Secure$/)
  })
  it('reads from anywhere, and changes things only from a page of the hub', async () => {
    const Cookie = cookieOf(await logIn({ cookie: true }))
    expect((await send('GET', '/auth/me', { Cookie })).status).toBe(200)
    const change = (headers: Record<string, string>) =>
      send('POST', '/machine-groups', { Cookie, ...headers }, { name: `group ${Math.random()}` })
    for (const headers of [
      {},
      { Host: host, Origin: 'http://hub.example:3000' },
      { Host: host, Origin: 'null' },
      { Host: host, 'Sec-Fetch-Site': 'same-site' },
    ]) {
      const refused = await change(headers as Record<string, string>)
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([403, 'FORBIDDEN'])
    }
    expect((await change(own)).status).toBe(201)
    expect((await change({ Host: host, 'Sec-Fetch-Site': 'same-origin' })).status).toBe(201)
  })
  it('gives no more than its user may, and gives way to a token', async () => {
    const Cookie = cookieOf(await logIn({ cookie: true }))
    expect((await send('GET', '/users', { Cookie })).status).toBe(403)
    const Authorization = `Bearer ${await alone.freshToken()}`
    expect((await send('GET', '/users', { Cookie, Authorization })).status).toBe(200)
    expect((await send('GET', '/auth/me', { Cookie: 'sendense_session=nonsense' })).status).toBe(401)
    expect((await send('GET', '/auth/me', { Cookie: 'sendense_session=' })).status).toBe(401)
  })
  it('is forgotten at the end, and follows a change of the password', async () => {
    const Cookie = cookieOf(await logIn({ cookie: true }))
    const ended = await send('POST', '/auth/logout', { Cookie, ...own })
    expect([ended.status, ended.headers.get('set-cookie')]).toEqual([
      200,
      'sendense_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict',
    ])
    const changed = await send(
      'POST',
      '/auth/change-password',
      { Cookie, ...own },
      {
        current_password: password,
        new_password: 'another good password',
      },
    )
    const next = cookieOf(changed)
    expect((await send('GET', '/auth/me', { Cookie })).status).toBe(401)
    expect((await send('GET', '/auth/me', { Cookie: next })).status).toBe(200)
  })
})

describe('the console', () => {
  const page = (path: string, headers: Record<string, string> = { Accept: 'text/html' }) =>
    app.request(`http://${host}${path}`, { headers })
  it('is one page under every path that is not a program’s, with a policy that lets nothing in from elsewhere', async () => {
    for (const path of ['/', '/vms', '/restore/some-mount?path=/etc', '/a.b']) {
      const response = await page(path)
      const text = await response.text()
      expect([path, response.status, response.headers.get('content-type')]).toEqual([
        path,
        200,
        'text/html; charset=utf-8',
      ])
      const policy = response.headers.get('content-security-policy')!
      expect(policy).toContain("default-src 'none'; script-src 'self';")
      expect(policy).not.toMatch(/unsafe|\*|https?:/)
      const nonce = /'nonce-([^']+)'/.exec(policy)![1]!
      expect(text).toContain(nonce)
      expect(text).not.toContain('__CSP_NONCE__')
      expect(text).not.toMatch(/(src|href)="(https?:)?\/\//)
    }
    expect((await page('/')).headers.get('content-security-policy')).not.toBe(
      (await page('/')).headers.get('content-security-policy'),
    )
  })
  it('answers programs as before', async () => {
    for (const path of ['/api/v1/nothing', '/api', '/health', '/metrics/x']) {
      const response = await page(path)
      expect([path, response.status, response.headers.get('content-type')]).toEqual([
        path,
        response.status,
        expect.stringContaining('json'),
      ])
    }
    expect((await page('/vms', { Accept: 'application/json' })).status).toBe(404)
    expect((await app.request(`http://${host}/vms`, { method: 'POST' })).status).toBe(404)
  })
  it('sends files that keep for ever, gzipped where that is understood, and no other', async () => {
    const name = /assets\/index-[^"]+\.js/.exec(readFileSync(new URL('dist-gui/index.html', projectRoot), 'utf8'))![0]
    const plain = await page(`/${name}`, {})
    const gzipped = await page(`/${name}`, { 'Accept-Encoding': 'gzip, br' })
    expect(plain.headers.get('cache-control')).toContain('immutable')
    expect(gzipped.headers.get('content-encoding')).toBe('gzip')
    expect((await gzipped.arrayBuffer()).byteLength).toBeLessThan((await plain.arrayBuffer()).byteLength / 2)
    for (const path of [
      '/assets/none.js',
      '/assets/../index.html',
      '/.stamp',
      '/..%2f..%2fpackage.json',
      '/index.html.gz',
    ])
      expect([path, (await page(path, {})).status]).toEqual([path, 404])
  })
})
