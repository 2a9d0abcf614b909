/**
 * Any client that follows the contract works: a node that we did not write, with stock NBD tools, at chain depth 1 to 10, while the
 * hub is killed at every step, and the agent too.
 */

import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { type ForeignNode, type ForeignStart as Start, startForeignNode } from '../support/foreign-node.ts'
import { type Hub, registerVm, startHub } from '../support/hub.ts'
import { blankImage, sh } from '../support/images.ts'

let hub: Hub
let node: ForeignNode
let before: Census
let vm: { vmName: string; repositoryId: string }
let folder: string
/** Neither is a multiple of 64 KiB, the second not even of 4 KiB. */
const sizes = [20 * 1024 * 1024 + 4096, 9 * 1024 * 1024 + 512]
const image = (index: number) => join(folder, `source${index}.raw`)

beforeAll(async () => {
  before = await census()
  node = await startForeignNode([{ name: 'pgtest1', diskBytes: sizes }])
  hub = await startHub({
    SENDENSE_NODE_URL: node.url,
    SENDENSE_STALL_SECONDS: '3',
    SENDENSE_STALL_FAIL_SECONDS: '8',
  })
  folder = join(hub.folder, 'foreign')
  mkdirSync(folder)
  sizes.forEach((size, at) => {
    blankImage(image(at), size)
    poke(at, 0, randomBytes(3_000_000))
    poke(at, size - 1000, randomBytes(1000))
  })
  vm = await registerVm(hub, 'pgtest1', 'vc.example')
})
afterAll(async () => {
  await hub.stop()
  await node.close()
  expect(await leftBehind(before)).toEqual([])
})

const poke = (index: number, offset: number, data: Buffer) => {
  const fd = openSync(image(index), 'r+')
  writeSync(fd, data, 0, data.length, offset)
  closeSync(fd)
}
const targetsOf = ({ nbd_targets }: Start) => nbd_targets.split(',').map((one) => one.replace(/^\d+:/, ''))
/** A callback, again while the hub is away, as the contract asks of a client. */
const callback = async (
  job: Start,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: any }> => {
  let answer: { status: number; body: any } = { status: 0, body: undefined }
  await waitFor(
    `the answer to ${path}`,
    async () => {
      const response = await fetch(`${job.hub_url}/api/v1${path}`, {
        method,
        headers: { Authorization: `Bearer ${job.callback_token}`, 'Content-Type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      answer = { status: response.status, body: await response.json() }
      return answer.status < 500
    },
    30_000,
  )
  return answer
}
const start = async (type: 'full' | 'incremental'): Promise<Start> => {
  const { status, body } = await hub.api('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: type,
  })
  expect([status, body.code]).toEqual([200, undefined])
  expect(node.started.at(-1)).toMatchObject({ job_id: body.backup_id, nbd_targets: body.nbd_targets_string })
  return node.started.at(-1)!
}
const changed: [index: number, offset: number, data: Buffer][] = []
/** Changes the source and remembers where. */
const change = (depth: number) => {
  changed.length = 0
  const spots: [number, number, Buffer][] = [
    [0, depth * 1_500_000, randomBytes(70_000)],
    [0, sizes[0]! - 3000, randomBytes(3000)],
    [1, depth * 700_001, randomBytes(5_000)],
    [0, 1_000_000, Buffer.alloc(200_000)],
  ]
  for (const spot of spots) {
    poke(...spot)
    changed.push(spot)
  }
}
/** Writes with stock tools: nbdcopy for a full, qemu-io for what changed. */
const copy = (job: Start, index: number) => {
  const target = targetsOf(job)[index]!
  if (job.backup_type === 'full') {
    sh('/usr/bin/nbdcopy', ['--flush', '--', image(index), target])
    return
  }
  const commands = changed
    .filter(([disk]) => disk === index)
    .flatMap(([, offset, data], at) => {
      const pattern = join(folder, `pattern${at}`)
      writeFileSync(pattern, data)
      return [
        '-c',
        data.every((byte) => byte === 0)
          ? `write -z ${offset} ${data.length}`
          : `write -s ${pattern} ${offset} ${data.length}`,
      ]
    })
  sh('/usr/bin/qemu-io', ['-f', 'raw', ...commands, '-c', 'flush', target])
}
const complete = (job: Start, index: number) =>
  callback(job, 'POST', `/backups/${job.job_id}/complete`, {
    disk_id: index,
    change_id: `change ${job.job_id} ${index}`,
    bytes_transferred: 1000,
  })
const report = (job: Start, more: object = {}) =>
  callback(job, 'POST', `/telemetry/backup/${job.job_id}`, {
    status: 'running',
    current_phase: 'transferring',
    bytes_transferred: 1,
    ...more,
  })
const equal = async (backupId: string) => {
  const { body } = await hub.api('GET', `/backups/${backupId}`)
  expect(body).toMatchObject({ status: 'completed', error_message: null })
  for (const disk of body.disks) {
    expect(
      sh('/usr/bin/qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', disk.qcow2_path, image(disk.disk_index)]),
    ).toContain('identical')
    expect(sh('/usr/bin/qemu-img', ['check', '-q', '-f', 'qcow2', disk.qcow2_path])).toBe('')
  }
}
const run = async (type: 'full' | 'incremental') => {
  const job = await start(type)
  await report(job)
  for (const index of sizes.keys()) copy(job, index)
  for (const index of sizes.keys()) expect((await complete(job, index)).status).toBe(200)
  return job
}

it('yields equal disks at every depth of the chain', async () => {
  await equal((await run('full')).job_id)
  for (let depth = 1; depth <= 9; depth++) {
    change(depth)
    const job = await run('incremental')
    expect(job.disks[0]!.previous_change_id).toContain('change backup-pgtest1-')
    await equal(job.job_id)
  }
  const { body } = await hub.api('GET', '/backups/chain?vm_name=pgtest1')
  expect(body.chain_length).toBe(10)
  expect(body.chain.every((one: any) => one.is_restorable)).toBe(true)
})

it('goes on and completes when the hub is killed at every step', async () => {
  change(3)
  const job = await start('incremental')
  await hub.kill('hub')
  expect((await callback(job, 'GET', '/backups/changeid?vm_name=pgtest1&disk_id=1')).body.change_id).toContain(
    'change backup-pgtest1-',
  )
  await hub.kill('hub')
  await report(job)
  copy(job, 0)
  await hub.kill('hub')
  copy(job, 1)
  // Killed while it answers: the client asks again and finds its work done, or does it.
  const first = complete(job, 0)
  await hub.kill('hub')
  expect((await first).status).toBe(200)
  expect((await complete(job, 0)).body).toMatchObject({ job_status: 'in_progress', disks_completed: 1 })
  await hub.kill('hub')
  expect((await complete(job, 1)).body.job_status).toBe('completed')
  await hub.kill('hub')
  await hub.waitHealthy()
  await equal(job.job_id)
  expect((await complete(job, 1)).status).toBe(200)
  await waitFor(
    'the ports to be free',
    async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0,
    30_000,
  )
})

it('fails cleanly when the agent is killed, and the next backup works', async () => {
  change(4)
  const job = await start('incremental')
  await report(job)
  copy(job, 0)
  await complete(job, 0)
  await hub.kill('host-agent')
  let ended: any
  await waitFor(
    'the failure',
    async () => {
      ended = (await hub.api('GET', `/backups/${job.job_id}`)).body
      return ended.status === 'failed'
    },
    30_000,
  )
  expect(ended.error_message).toMatch(/interrupted|restarted|gone|no telemetry/)
  expect((await complete(job, 1)).body).toMatchObject({ code: 'JOB_ENDED', job_status: 'failed' })
  await hub.waitHealthy()
  await waitFor('the clean-up', async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0, 30_000)
  const files = (readdirSync(hub.repositoryPath, { recursive: true }) as string[]).filter((name) =>
    name.endsWith('.qcow2'),
  )
  expect(files.some((name) => ended.disks.some((disk: any) => disk.qcow2_path.endsWith(name)))).toBe(false)
  const next = await run('incremental')
  await equal(next.job_id)
  expect(
    (await hub.api('GET', '/backups/chain?vm_name=pgtest1')).body.chain.every((one: any) => one.is_restorable),
  ).toBe(true)
})

it('notices a client that has gone silent, and one that says it failed', async () => {
  const silent = await start('full')
  const status = async () => (await hub.api('GET', `/backups/${silent.job_id}`)).body.status
  await waitFor('the stall', async () => (await status()) === 'stalled', 15_000)
  expect((await report(silent)).body.job_status).toBe('in_progress')
  await waitFor('the failure', async () => (await status()) === 'failed', 25_000)
  const failing = await start('full')
  await report(failing, { status: 'failed', error: { message: 'VMware said no' } })
  expect((await hub.api('GET', `/backups/${failing.job_id}`)).body).toMatchObject({
    status: 'failed',
    error_message: 'VMware said no',
  })
  const names = readdirSync(hub.repositoryPath, { recursive: true }) as string[]
  expect(names.filter((name) => name.includes(failing.job_id.slice(-10)))).toEqual([])
})

it('survives the death of the database and of everything at once', async () => {
  change(5)
  const job = await start('incremental')
  await report(job)
  for (const index of sizes.keys()) copy(job, index)
  await hub.kill('database')
  for (const index of sizes.keys()) expect((await complete(job, index)).status).toBe(200)
  await equal(job.job_id)
  await Promise.all([hub.kill('hub'), hub.kill('host-agent'), hub.kill('database')])
  await hub.waitHealthy()
  await equal(job.job_id)
  const mount = await hub.api('POST', '/restore/mount', { backup_id: job.job_id, disk_index: 0 })
  expect(mount.body.code).toBe('NO_MOUNTABLE_FILESYSTEM')
})
