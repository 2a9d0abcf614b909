/** What clients on a real connection can do that a call of a function can not. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createConnection } from 'node:net'
import { Readable } from 'node:stream'
import { createAdaptorServer } from '@hono/node-server'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createApp } from '../../runtime/router.ts'
import { waitFor } from '../../runtime/service.ts'
import { routeMap } from '../../wrangler-style.config.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

it('a client that stops reading is cut off, and lets go of what it was reading', async () => {
  const vm = await readyVm(alone)
  const { backup_id } = await completedBackup(alone, vm)
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
  const { body: mount } = await alone.call('POST', '/restore/mount', { backup_id, disk_index: 0 })

  const endless = new Readable({
    read() {
      this.push(Buffer.alloc(1 << 20))
    },
  })
  alone.agent.readArchive = async () => endless
  const limits = { ...routeMap(60).limits, stalledClientMs: 300 }
  const app = createApp(alone.loaded.routes, alone.bindings, { limits, corsOrigins: [] })
  const server = createAdaptorServer({ fetch: app.fetch })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const client = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => undefined)
    client.write(
      `GET /api/v1/restore/${mount.mount_id}/download-directory?path=/etc&format=zip HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer ${alone.tokens.admin}\r\n\r\n`,
    )
    const [head] = (await once(client, 'data')) as [Buffer]
    expect(head.toString('latin1')).toMatch(/^HTTP\/1\.1 200 /)
    client.pause()
    await waitFor('the end of the source', async () => endless.destroyed, 10_000)
    client.destroy()
  } finally {
    server.close()
  }
})

it('more requests at once than the hub works on are told to come again', async () => {
  const limits = { ...routeMap(60).limits, requestsMax: 2 }
  const app = createApp(alone.loaded.routes, alone.bindings, { limits, corsOrigins: [] })
  const ask = () => app.request('/api/v1/vms', { headers: { Authorization: `Bearer ${alone.tokens.admin}` } })
  const replies = await Promise.all([ask(), ask(), ask()])
  expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, 503])
  expect(replies.find(({ status }) => status === 503)?.headers.get('retry-after')).toBe('1')
  expect((await ask()).status).toBe(200)
})
