/** A mount over WebDAV: who comes in, what is listed, what is read, and that nothing else is possible. */
import { DOMParser } from '@xmldom/xmldom'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let id: string
let password: string
beforeAll(async () => {
  alone = await openAlone()
  const { backup_id } = await completedBackup(alone, await readyVm(alone, { name: 'vm' }))
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
  id = (await alone.call('POST', '/restore/mount', { backup_id, disk_index: 0 })).body.mount_id
  const { status, body } = await alone.call('POST', `/restore/${id}/access`)
  expect([status, body.username, body.url]).toEqual([201, 'mount', `/api/v1/restore/${id}/dav/`])
  expect(Date.parse(body.expires_at) - alone.clock.now().getTime()).toBe(12 * 3600 * 1000)
  password = body.password
})
afterAll(() => alone.close())

const basic = (secret: string) => `Basic ${Buffer.from(`anybody:${secret}`).toString('base64')}`
type Asked = {
  authorization?: string | null
  depth?: string
  body?: string
  mount?: string
  headers?: Record<string, string>
}
const ask = async (method: string, path: string, { authorization, depth, body, mount = id, headers }: Asked = {}) => {
  const given = authorization === undefined ? basic(password) : authorization
  const reply = await alone.call(method, `/restore/${mount}/dav${path}`, body, {
    token: null,
    headers: { ...(given ? { Authorization: given } : {}), ...(depth ? { depth } : {}), ...headers },
  })
  return { ...reply, text: typeof reply.body === 'string' ? reply.body : '' }
}
const codeOf = ({ body }: { body: { code: string } }) => body.code
const elements = (text: string, name: string) =>
  Array.from(new DOMParser().parseFromString(text, 'text/xml').getElementsByTagNameNS('DAV:', name))
const hrefs = (text: string) => elements(text, 'href').map(({ textContent }) => textContent)
const base = () => `/api/v1/restore/${id}/dav`

it('says what it is, to whoever asks', async () => {
  const { status, headers } = await ask('OPTIONS', '/', { authorization: null })
  expect([status, headers.get('dav'), headers.get('allow')]).toEqual([200, '1', 'OPTIONS, GET, HEAD, PROPFIND'])
})

describe('who comes in', () => {
  const find = (options: Asked) => ask('PROPFIND', '/', { depth: '0', ...options })
  it('a mount’s token, an API token or a user’s, as password or as bearer', async () => {
    const apiToken = (await alone.call('POST', '/api-tokens', { name: 'files', role: 'operator' })).body.token as string
    for (const authorization of [
      basic(password),
      basic(apiToken),
      basic(alone.tokens.viewer),
      `Bearer ${alone.tokens.viewer}`,
    ])
      expect((await find({ authorization })).status).toBe(207)
    expect((await ask('GET', '/etc/hostname', { authorization: basic(apiToken) })).status).toBe(200)
    const refused = await ask('GET', '/etc/hostname', { authorization: basic(alone.tokens.viewer) })
    expect([refused.status, codeOf(refused)]).toEqual([403, 'FORBIDDEN'])
  })
  it('nobody else, and file managers are asked for a password', async () => {
    const jobToken = await alone.bindings.KEYS.jobToken(
      { jobType: 'backup', jobId: 'j', vmName: 'vm' },
      alone.clock.now(),
    )
    const grant = { mountId: id, partition: 0, pathB64: 'Lw==', kind: 'file' as const, format: '' }
    const { token: link } = await alone.bindings.KEYS.downloadToken(grant, alone.clock.now())
    for (const authorization of [
      null,
      'Basic',
      'Basic !',
      basic(''),
      basic('wrong'),
      basic(`${password}x`),
      basic(link),
      `Bearer ${password}`,
    ]) {
      const reply = await find({ authorization })
      expect([authorization, reply.status]).toEqual([authorization, 401])
      expect(reply.headers.get('www-authenticate')).toMatch(/^Basic realm=/)
    }
    expect(codeOf(await find({ authorization: basic(jobToken) }))).toBe('TOKEN_SCOPE')
  })
  it('a mount’s token neither into another mount nor anywhere else', async () => {
    const { token } = await alone.bindings.KEYS.mountToken('another', alone.clock.now())
    expect(codeOf(await find({ authorization: basic(token) }))).toBe('TOKEN_SCOPE')
    for (const authorization of [basic(password), `Bearer ${password}`])
      for (const path of ['/vms', `/restore/${id}`, `/restore/${id}/files`]) {
        const headers = { authorization }
        expect((await alone.call('GET', path, undefined, { token: null, headers })).status).toBe(401)
      }
  })
  it('nobody once the token has ended', async () => {
    const { at } = alone.clock
    alone.clock.advance(12 * 3600 + 1)
    expect(codeOf(await find({}))).toBe('TOKEN_EXPIRED')
    alone.clock.at = at
  })
})

it('lists a file and a folder, by Depth', async () => {
  const folder = await ask('PROPFIND', '/etc', { depth: '1' })
  expect([folder.status, folder.headers.get('content-type')]).toEqual([207, 'application/xml; charset=utf-8'])
  expect(hrefs(folder.text)).toEqual([`${base()}/etc/`, `${base()}/etc/hostname`])
  expect(hrefs((await ask('PROPFIND', '/etc/', { depth: '0' })).text)).toEqual([`${base()}/etc/`])
  expect(elements(folder.text, 'collection')).toHaveLength(1)
  const file = await ask('PROPFIND', '/etc/hostname', { depth: '1' })
  expect(hrefs(file.text)).toEqual([`${base()}/etc/hostname`])
  const content = (await ask('GET', '/etc/hostname')).text
  expect(elements(file.text, 'getcontentlength')[0]!.textContent).toBe(String(content.length))
  expect(elements(file.text, 'displayname')[0]!.textContent).toBe('hostname')
  for (const method of ['GET', 'PROPFIND'])
    expect(codeOf(await ask(method, '/nothing', { depth: '0' }))).toBe('FILE_NOT_FOUND')
  for (const depth of ['infinity', '2', undefined])
    expect((await ask('PROPFIND', '/', depth ? { depth } : {})).status).toBe(403)
})

it('answers with what is asked for, and says what it has not', async () => {
  const some = await ask('PROPFIND', '/etc/hostname', {
    depth: '0',
    body: '<?xml version="1.0"?><a:propfind xmlns:a="DAV:" xmlns:b="urn:x"><a:prop><a:getcontentlength/><b:colour/><a:getetag/></a:prop></a:propfind>',
  })
  expect(elements(some.text, 'status').map(({ textContent }) => textContent)).toEqual([
    'HTTP/1.1 200 OK',
    'HTTP/1.1 404 Not Found',
  ])
  expect(new DOMParser().parseFromString(some.text, 'text/xml').getElementsByTagNameNS('urn:x', 'colour')).toHaveLength(
    1,
  )
  expect(elements(some.text, 'displayname')).toHaveLength(0)
  const names = await ask('PROPFIND', '/etc/hostname', {
    depth: '0',
    body: '<propfind xmlns="DAV:"><propname/></propfind>',
  })
  expect(elements(names.text, 'getcontentlength')[0]!.textContent).toBe('')
})

it('refuses what is no PROPFIND', async () => {
  const bombs =
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><propfind xmlns="DAV:"><prop>&b;</prop></propfind>'
  const many = `<propfind xmlns="DAV:"><prop>${'<x/>'.repeat(101)}</prop></propfind>`
  for (const body of ['<', 'text', '<propfind/>', '<propfind xmlns="DAV:"><prop></propfind>', bombs, many])
    expect([body, codeOf(await ask('PROPFIND', '/', { depth: '0', body }))]).toEqual([body, 'VALIDATION_FAILED'])
  expect((await ask('PROPFIND', '/', { depth: '0', body: 'x'.repeat(65 * 1024) })).status).toBe(413)
})

it('reads a file, whole, in parts, or not at all when it is known', async () => {
  const whole = await ask('GET', '/etc/hostname')
  expect([whole.status, whole.headers.get('accept-ranges')]).toEqual([200, 'bytes'])
  const part = await ask('GET', '/etc/hostname', { headers: { range: 'bytes=1-2' } })
  expect([part.status, part.text]).toEqual([206, whole.text.slice(1, 3)])
  expect((await ask('GET', '/etc/hostname', { headers: { 'if-none-match': whole.headers.get('etag')! } })).status).toBe(
    304,
  )
  const head = await ask('HEAD', '/etc/hostname')
  expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', String(whole.text.length)])
  expect(codeOf(await ask('GET', '/etc'))).toBe('IS_DIRECTORY')
  expect(codeOf(await ask('GET', '/etc/hostname', { headers: { range: 'bytes=9999-' } }))).toBe('RANGE_NOT_SATISFIABLE')
  alone.agent.special.add('/etc/hostname')
  expect(codeOf(await ask('GET', '/etc/hostname'))).toBe('NOT_A_REGULAR_FILE')
  expect(hrefs((await ask('PROPFIND', '/etc', { depth: '1' })).text)).toEqual([`${base()}/etc/`])
  alone.agent.special.delete('/etc/hostname')
})

it('lets nothing be written', async () => {
  for (const method of ['PUT', 'DELETE', 'POST', 'PATCH', 'MKCOL', 'MOVE', 'COPY', 'LOCK', 'UNLOCK', 'PROPPATCH'])
    expect([method, (await ask(method, '/etc/hostname')).status]).toEqual([method, 404])
})

it('takes names and paths for nothing but names and paths', async () => {
  for (const method of ['GET', 'PROPFIND'])
    for (const path of ['/%', '/%zz', '/a%00b', `/${'a'.repeat(5000)}`])
      expect([path, codeOf(await ask(method, path, { depth: '0' }))]).toEqual([path, 'PATH_INVALID'])
  for (const method of ['GET', 'PROPFIND'])
    expect(codeOf(await ask(method, '/..%2f..%2fetc/shadow', { depth: '0' }))).toBe('PATH_FORBIDDEN')
  expect((await ask('GET', '/%2e%2e/%2e%2e/etc/shadow')).status).toBe(404)
})

const everyCall = (mount: string) => [
  () => ask('PROPFIND', '/', { depth: '0', mount, authorization: basic(alone.tokens.admin) }),
  () => ask('GET', '/etc/hostname', { mount, authorization: basic(alone.tokens.admin) }),
  () => alone.call('POST', `/restore/${mount}/access`),
]
it('waits for the mount, and ends with it', async () => {
  const state = alone.agent.mounts.get(id)!
  alone.agent.mounts.delete(id)
  await alone.db.pool.query("UPDATE restore_mounts SET status = 'mounting' WHERE id = ?", [id])
  for (const call of everyCall(id)) expect(codeOf(await call())).toBe('MOUNT_NOT_READY')
  await alone.db.pool.query("UPDATE restore_mounts SET status = 'mounted' WHERE id = ?", [id])
  alone.agent.mounts.set(id, state)
  await alone.call('DELETE', `/restore/${id}`)
  for (const call of everyCall(id)) expect(codeOf(await call())).toBe('MOUNT_EXPIRED')
  for (const call of everyCall('nothing')) expect(codeOf(await call())).toBe('MOUNT_NOT_FOUND')
})
