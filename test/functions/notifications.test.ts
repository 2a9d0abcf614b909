import { createHmac } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { detectStale } from '../../workflows/detect-stale.ts'
import { sendDue } from '../../workflows/notify.ts'
import { runSchedules } from '../../workflows/run-schedules.ts'
import { runVerifications } from '../../workflows/verify-backups.ts'
import { watchStorage } from '../../workflows/watch-storage.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
/** What the other side has got. */
const received: { body: any; headers: Record<string, unknown>; raw: string }[] = []
const mails: { to: string[]; text: string; user: string | undefined }[] = []
let status = 200
let web: Server
let mail: SMTPServer
const portOf = (server: { address: () => unknown }) => (server.address() as AddressInfo).port

beforeAll(async () => {
  alone = await openAlone()
  vm = await readyVm(alone)
  web = createServer((request, response) => {
    let raw = ''
    request.on('data', (chunk: Buffer) => {
      raw += chunk.toString()
    })
    request.on('end', () => {
      received.push({ raw, body: JSON.parse(raw), headers: request.headers })
      response.writeHead(status, status === 302 ? { Location: '/elsewhere' } : {}).end('an answer that nobody reads')
    })
  })
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  mail = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    onAuth: ({ username, password }, _session, done) =>
      password === 'mail secret' ? done(null, { user: username ?? '' }) : done(new Error('no')),
    onData: (stream, session, done) => {
      let text = ''
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      stream.on('end', () => {
        mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), text, user: session.user })
        done()
      })
    },
  })
  await new Promise<void>((resolve) => mail.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  web.close()
  await new Promise<void>((resolve) => mail.close(resolve))
  await alone.close()
})
beforeEach(async () => {
  received.length = 0
  mails.length = 0
  status = 200
  alone.tokens.admin = await alone.freshToken()
})

const webhook = (name: string, more: object = {}) =>
  alone.call('POST', '/notifications', {
    name,
    type: 'webhook',
    config: { url: `http://127.0.0.1:${portOf(web)}/hook` },
    ...more,
  })
const mailRule = (name: string, more: object = {}) =>
  alone.call('POST', '/notifications', {
    name,
    type: 'mail',
    config: {
      host: '127.0.0.1',
      port: portOf(mail.server),
      username: 'hub',
      from: 'hub@example.org',
      to: ['ops@example.org', 'night@example.org'],
    },
    secret: 'mail secret',
    ...more,
  })
const remove = async () => {
  alone.tokens.admin = await alone.freshToken()
  for (const { id } of (await alone.call('GET', '/notifications')).body.notifications)
    await alone.call('DELETE', `/notifications/${id}`)
}
const fail = async (name = vm.vmName, repositoryId = vm.repositoryId) => {
  const { body } = await alone.call('POST', '/backups', {
    vm_name: name,
    repository_id: repositoryId,
    backup_type: 'full',
  })
  await alone.call('POST', `/telemetry/backup/${body.backup_id}`, {
    status: 'running',
    error: { message: 'the source is gone' },
  })
  return body.backup_id as string
}

it('creates, shows, changes and removes them, and never shows a secret', async () => {
  const { status: created, body } = await webhook('hook', { secret: 'top secret', events: ['backup_failed'] })
  expect(created).toBe(201)
  expect(body).toMatchObject({
    name: 'hook',
    enabled: true,
    type: 'webhook',
    secret_set: true,
    events: ['backup_failed'],
  })
  expect(JSON.stringify(body)).not.toContain('top secret')
  expect((await webhook('hook')).body.code).toBe('NAME_TAKEN')
  const path = `/notifications/${body.id}`
  expect((await alone.call('GET', path)).body).toEqual(body)
  const changed = await alone.call('PUT', path, { events: [], vm_names: ['web'], secret: '', enabled: false })
  expect(changed.body).toMatchObject({ events: [], vm_names: ['web'], secret_set: false, enabled: false })
  const wrong = { host: 'mail.example', from: 'a@example.org', to: ['b@example.org'] }
  expect((await alone.call('PUT', path, { config: wrong })).body.fields).toMatchObject([{ field: 'config' }])
  await webhook('other')
  expect((await alone.call('PUT', path, { name: 'other' })).body.code).toBe('NAME_TAKEN')
  expect((await alone.call('GET', '/notifications?limit=1')).body).toMatchObject({ count: 1, total_count: 2 })
  expect((await alone.call('DELETE', path)).body.message).toBe('notification hook removed')
  for (const [method, suffix] of [
    ['GET', ''],
    ['PUT', ''],
    ['DELETE', ''],
    ['POST', '/test'],
    ['GET', '/deliveries'],
  ] as const)
    expect(
      (await alone.call(method, `${path}${suffix}`, method === 'PUT' || method === 'POST' ? {} : undefined)).body.code,
    ).toBe('NOTIFICATION_NOT_FOUND')
  await remove()
})

it('refuses addresses that are none', async () => {
  for (const url of ['file:///etc/passwd', 'gopher://x', 'nonsense', ''])
    expect((await webhook('bad', { config: { url } })).status, url).toBe(400)
  const config = { host: 'mail.example', from: 'a@example.org', to: ['b@example.org'] }
  for (const bad of [
    { host: 'a b' },
    { host: '-x' },
    { to: [] },
    { to: ['nobody'] },
    { to: ['a@b.example\r\nBcc: x@y.example'] },
    { from: 'me' },
    { port: 0 },
  ])
    expect((await mailRule('bad', { config: { ...config, ...bad } })).status, JSON.stringify(bad)).toBe(400)
})

it('tells of a failed backup and of the first good one after it, signed, to those who want to know of this VM', async () => {
  const { body } = await webhook('all', { secret: 'a key' })
  await webhook('others only', { vm_names: ['another vm'] })
  await webhook('other events', { events: ['run_missed'] })
  await webhook('other repositories', { repository_ids: ['repo-other'] })
  await webhook('off', { enabled: false })
  const failed = await fail()
  await sendDue(alone.bindings)
  expect(received.map((one) => one.body)).toEqual([
    {
      event: 'backup_failed',
      text: `The backup of ${vm.vmName} has failed`,
      vm_name: vm.vmName,
      backup_id: failed,
      repository_id: vm.repositoryId,
      schedule_id: null,
      details: expect.stringContaining('the source is gone'),
      at: expect.any(String),
    },
  ])
  const { raw, headers } = received[0]!
  expect(headers['x-sendense-signature']).toBe(`sha256=${createHmac('sha256', 'a key').update(raw).digest('hex')}`)
  alone.clock.advance(5)
  await completedBackup(alone, vm)
  alone.clock.advance(5)
  await completedBackup(alone, vm)
  await sendDue(alone.bindings)
  expect(received.slice(1).map((one) => [one.body.event, one.body.text])).toEqual([
    ['backup_recovered', `${vm.vmName} is backed up again`],
  ])
  const deliveries = (await alone.call('GET', `/notifications/${body.id}/deliveries`)).body
  expect(deliveries).toMatchObject({ count: 2, total_count: 2 })
  expect(deliveries.deliveries[0]).toMatchObject({ event: 'backup_recovered', status: 'sent', attempts: 1 })
  // What was sent is not sent again.
  await sendDue(alone.bindings)
  expect(received).toHaveLength(2)
  await remove()
})

it('tells of stalled backups, damage, missed runs and storage that runs out', async () => {
  await webhook('all')
  const { body } = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'full',
  })
  alone.clock.advance(90)
  await detectStale(alone.bindings)
  await detectStale(alone.bindings)
  await alone.call('POST', `/backups/${body.backup_id}/cancel`)

  alone.clock.advance(5)
  const good = await completedBackup(alone, vm)
  for (const file of alone.agent.files.values()) file.damaged = true
  await alone.call('POST', `/backups/${good.backup_id}/verify`, {})
  await runVerifications(alone.bindings, 5_000)

  await alone.call('POST', '/schedules', { name: 'nightly', cron_expression: '0 22 * * *', timezone: 'UTC' })
  alone.clock.advance(24 * 3600)
  await runSchedules(alone.bindings)

  alone.agent.storage = { total_bytes: 1000, used_bytes: 950, available_bytes: 50 }
  await watchStorage(alone.bindings)
  await watchStorage(alone.bindings)
  alone.agent.storage = { total_bytes: 1000, used_bytes: 890, available_bytes: 110 }
  await watchStorage(alone.bindings)
  alone.agent.storage = { total_bytes: 1e12, used_bytes: 1e11, available_bytes: 9e11 }
  await watchStorage(alone.bindings)
  alone.agent.down = true
  await watchStorage(alone.bindings)
  alone.agent.down = false
  await watchStorage(alone.bindings)

  await sendDue(alone.bindings)
  expect(received.map((one) => one.body.text.replace(/repository of .*? (has|can)/, 'R $1')).toSorted()).toEqual([
    `A restore point of ${vm.vmName} is damaged`,
    `The backup of ${vm.vmName} gives no sign of life`,
    'The repository R can not be reached',
    'The repository R has 5.0 % free',
    'The schedule nightly has missed a run',
  ])
  await remove()
})

it('tries again what was not taken, ever later, and gives up in the end', async () => {
  const { body } = await webhook('flaky')
  status = 500
  await fail()
  const latest = async () => (await alone.call('GET', `/notifications/${body.id}/deliveries`)).body.deliveries[0]
  for (let attempt = 1; attempt <= 6; attempt++) {
    await sendDue(alone.bindings)
    const now = await latest()
    expect(now).toMatchObject({ attempts: attempt, last_error: 'the address answers with status 500' })
    if (attempt === 6) expect(now).toMatchObject({ status: 'failed', next_attempt_at: null })
    else {
      // Not before its time.
      await sendDue(alone.bindings)
      expect((await latest()).attempts).toBe(attempt)
      alone.clock.advance((Date.parse(now.next_attempt_at) - alone.clock.now().getTime()) / 1000)
      alone.tokens.admin = await alone.freshToken()
    }
  }
  alone.clock.advance(24 * 3600)
  alone.tokens.admin = await alone.freshToken()
  await sendDue(alone.bindings)
  expect(received).toHaveLength(6)
  // One that is taken in the end.
  await fail()
  await sendDue(alone.bindings)
  status = 204
  alone.clock.advance(10)
  await Promise.all([sendDue(alone.bindings), sendDue(alone.bindings)])
  expect(await latest()).toMatchObject({ status: 'sent', attempts: 2, last_error: null })
  expect(received).toHaveLength(8)
  alone.clock.advance(40 * 24 * 3600)
  alone.tokens.admin = await alone.freshToken()
  await sendDue(alone.bindings)
  expect(await latest()).toBeUndefined()
  await remove()
})

it('sends mail, with the account it was given, and tests at once', async () => {
  const { body } = await mailRule('mail')
  await fail()
  await sendDue(alone.bindings)
  expect(mails).toHaveLength(1)
  expect(mails[0]).toMatchObject({ to: ['ops@example.org', 'night@example.org'], user: 'hub' })
  expect(mails[0]!.text).toContain(`Subject: Sendense: The backup of ${vm.vmName} has failed`)
  const test = async () => (await alone.call('POST', `/notifications/${body.id}/test`, {})).body
  expect(await test()).toEqual({ success: true, message: 'the message was taken' })
  await alone.call('PUT', `/notifications/${body.id}`, { secret: 'wrong' })
  const refused = await test()
  expect(refused.success).toBe(false)
  expect(refused.message).toMatch(/^the mail server refuses the message/)
  expect(refused.message).not.toContain('wrong')
  const hook = (await webhook('hook')).body.id
  // It goes nowhere but to the address that it was given.
  status = 302
  expect((await alone.call('POST', `/notifications/${hook}/test`, {})).body.success).toBe(false)
  expect(received).toHaveLength(1)
  await alone.call('PUT', `/notifications/${hook}`, { config: { url: 'http://127.0.0.1:1/' } })
  expect((await alone.call('POST', `/notifications/${hook}/test`, {})).body).toMatchObject({
    success: false,
    message: expect.stringMatching(/^the address does not answer/),
  })
  await remove()
})
