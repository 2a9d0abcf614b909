import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, openAlone } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
  await alone.call('POST', '/repositories', { name: 'r', type: 'local', config: { path: '/repo' } })
})
afterAll(() => alone.close())
const allocate = (body: object) =>
  alone.call('POST', '/nbd/ports/allocate', { job_id: 'job', export_name: 'e', ...body })

it('reserves ports, all or nothing, the same again for the same call', async () => {
  const { body } = await allocate({ disk_count: 2 })
  expect(body.allocated_ports).toEqual([
    { port: 10100, export_name: 'e-disk-2000' },
    { port: 10101, export_name: 'e-disk-2001' },
  ])
  expect(Date.parse(body.expires_at) - alone.clock.now().getTime()).toBe(24 * 3600 * 1000)
  expect((await allocate({ disk_count: 2 })).body).toEqual(body)
  expect((await allocate({ job_id: 'other', export_name: 'e-disk-2000' })).body.code).toBe('EXPORT_IN_USE')
  await allocate({ job_id: 'big', export_name: 'b', disk_count: 64 })
  expect((await allocate({ job_id: 'more', export_name: 'm', disk_count: 64 })).body.code).toBe('NBD_PORTS_EXHAUSTED')
  expect((await alone.call('GET', '/nbd/ports/status')).body).toMatchObject({
    total_ports: 101,
    allocated: 66,
    available: 35,
  })
  expect((await allocate({ export_name: 'a b' })).body.fields).toMatchObject([{ field: 'export_name', code: 'FORMAT' }])
})
it('gives ports back to their owner', async () => {
  expect((await alone.call('POST', '/nbd/ports/release', { job_id: 'other', ports: [10100] })).body.code).toBe(
    'PORT_NOT_OWNED',
  )
  expect((await alone.call('POST', '/nbd/ports/release', { job_id: 'big' })).body.released_count).toBe(64)
  expect((await alone.call('POST', '/nbd/ports/release', { job_id: 'big', ports: [10150] })).body.released_count).toBe(
    0,
  )
})
it('exports a file of a repository on an allocated port, and ends it', async () => {
  const start = (body: object) =>
    alone.call('POST', '/nbd/qemu-nbd/start', {
      export_name: 'e-disk-2000',
      port: 10100,
      qcow2_path: '/repo/a.qcow2',
      ...body,
    })
  const { body } = await start({})
  expect(body).toMatchObject({ port: 10100, export_name: 'e-disk-2000', status: 'running' })
  expect((await alone.call('GET', '/nbd/qemu-nbd/list')).body.processes).toMatchObject([
    { pid: body.pid, shared_limit: 10, read_only: false, job_id: 'job' },
  ])
  expect((await start({ export_name: 'x' })).body.code).toBe('PORT_IN_USE')
  expect((await start({ port: 10101 })).body.code).toBe('EXPORT_IN_USE')
  expect((await alone.call('POST', '/nbd/ports/release', { job_id: 'job' })).body.code).toBe('PORT_IN_USE')
  expect((await start({ port: 10199, export_name: 'y' })).body.code).toBe('PORT_NOT_ALLOCATED')
  for (const qcow2_path of ['/etc/shadow', 'relative', '/repository/x', '/repo/../etc/shadow', '/repo/missing.qcow2'])
    expect((await start({ port: 10101, export_name: 'z', qcow2_path })).body.code, qcow2_path).toBe('PATH_INVALID')
  for (const port of [22, 0, 65536]) expect((await start({ port })).body.code).toBe('VALIDATION_FAILED')
  expect((await start({ shared_connections: 4 })).body.fields).toMatchObject([
    { field: 'shared_connections', code: 'RANGE' },
  ])
  const stop = (given: object) => alone.call('POST', '/nbd/qemu-nbd/stop', given)
  expect((await stop({})).body.fields).toMatchObject([{ field: 'pid', code: 'REQUIRED' }])
  expect((await stop({ pid: 1, export_name: 'x' })).body.fields).toMatchObject([{ field: 'pid', code: 'FORBIDDEN' }])
  expect((await stop({ pid: 1 })).body.code).toBe('PROCESS_NOT_FOUND')
  expect((await stop({ pid: body.pid })).body).toEqual({ success: true, stopped_pid: body.pid })
  expect((await stop({ export_name: 'e-disk-2000' })).body.code).toBe('PROCESS_NOT_FOUND')
})
it('lets leases run out', async () => {
  alone.clock.advance(24 * 3600 + 1)
  const token = await alone.freshToken()
  expect((await alone.call('GET', '/nbd/ports/status', undefined, { token })).body.allocated).toBe(0)
})
