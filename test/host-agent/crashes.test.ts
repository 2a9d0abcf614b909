/** What is killed, and what must hold after it: the census is as before, the chain is whole, and decoys are untouched. */

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { NbdClient } from '../../nbd/client.ts'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { blankImage, copyInto, filesystemImage, sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { processesOf, readerProgram } from '../support/sandbox.ts'
import { mountOf, sealedDisk, sealRequest } from '../support/sealed-disk.ts'

/** A machine that is emulated takes its time. */
const slowness = Math.min(10, Number(process.env.SENDENSE_TEST_PATIENCE ?? 1))

let real: RealAgent
let image: string
/** That the host itself mounts. */
let hostImage: string
let before: Census
beforeAll(async () => {
  real = await openRealAgent({ idleSeconds: 2 })
  image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, (folder) => writeFileSync(join(folder, 'file'), 'x'.repeat(1_000_000)))
  hostImage = join(real.folder, 'host.raw')
  filesystemImage(hostImage, 'xfs', 0, (folder) => writeFileSync(join(folder, 'file'), 'x'))
  // The one that is kept waiting is no leftover of a test; on a slow machine it comes late.
  await waitFor('a sandbox that waits', async () => processesOf(real.pid(), readerProgram).length > 0, 120_000)
  before = await census()
})
afterAll(() => real.close())

const encode = (path: string) => Buffer.from(path).toString('base64')
const file = (base: string) => ({ repository_id: 'repo', vm_backup_context_id: 'ctx-crash', disk_index: 0, base })
const newExport = async (base: string, port: number, size = 64 << 20) => {
  await real.agent.ensureRepository('repo', real.repositoryPath)
  return real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port: real.firstPort + port,
    file: file(base),
    virtual_size_bytes: size,
    parent_bases: [],
    shared_connections: 10,
  })
}

/** A zombie that its new parent has not looked at yet does not run. */
const isRunning = (pid: number) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

it('a killed agent leaves nothing mounted once the next one has started, and touches nobody else', async () => {
  const decoyFile = join(real.folder, 'decoy.raw')
  blankImage(decoyFile, 1 << 20)
  const decoyLoop = sh('/usr/sbin/losetup', ['--find', '--show', decoyFile]).trim()
  const decoy = spawn(
    '/usr/bin/qemu-nbd',
    ['-f', 'raw', '-k', join(real.folder, 'decoy.sock'), '--persistent', decoyFile],
    { stdio: 'ignore' },
  )
  const disk = await sealedDisk(real, image)
  const mountId = randomUUID()
  await real.agent.ensureMount(mountId, mountOf(disk))
  await real.agent.readFile(mountId, { path_b64: encode('/file'), start: 0, length: 1_000_000, etag: '' })
  const writing = await newExport('cut-off', 35)
  await real.killAndRestart()
  expect((await real.agent.listMounts()).mounts).toEqual([])
  expect((await real.agent.listMounts()).ended).toContainEqual(
    expect.objectContaining({ mount_id: mountId, reason: 'restart' }),
  )
  expect(await real.agent.getExport('cut-off')).toMatchObject({ status: 'lost', pid: null })
  await waitFor('the death of qemu-nbd', async () => !isRunning(writing.pid!), 5_000)
  expect(decoy.exitCode).toBeNull()
  expect(sh('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'NAME'])).toContain(decoyLoop)
  await real.agent.dropExport('cut-off', true)
  decoy.kill()
  sh('/usr/sbin/losetup', ['-d', decoyLoop])
  // The point mounts as before, and a second pass of the start changes nothing.
  await real.agent.ensureMount(mountId, mountOf(disk))
  await real.agent.removeMount(mountId, 'user')
  await real.killAndRestart()
  expect(await leftBehind(before)).toEqual([])
})

it('a process that an agent was killed in the middle of starting is ended by the next one, and nobody else', async () => {
  const sleeper = (stateDir: string) =>
    spawn('/usr/bin/sleep', ['600'], { stdio: 'ignore', env: { SENDENSE_AGENT: stateDir } })
  const [orphan, decoy] = [sleeper(join(real.folder, 'state')), sleeper(join(real.folder, 'another'))]
  await real.killAndRestart()
  await waitFor('the end of the orphan', async () => !isRunning(orphan.pid!), 5_000)
  expect(isRunning(decoy.pid!)).toBe(true)
  decoy.kill()
})

it('a tool runner that is killed in the middle of a mount costs that mount at most, and leaves none of its tools behind', async () => {
  const runner = () =>
    Number(
      readFileSync(`/proc/${real.pid()}/task/${real.pid()}/children`, 'utf8')
        .split(' ')
        .find((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('tool-runner.js')),
    )
  const disk = await sealedDisk(real, hostImage)
  let refused = 0
  // Before it can run any tool of a mount, while it runs the first, the second, and so on.
  for (let tools = 0; tools <= 6; tools++) {
    const [mountId, killed] = [randomUUID(), runner()]
    if (tools === 0) process.kill(killed, 'SIGSTOP')
    let over = false
    const mounting = real.agent
      .ensureMount(mountId, mountOf(disk))
      .catch(() => refused++)
      .finally(() => {
        over = true
      })
    const seen = new Set<string>()
    // Long enough for the mount to ask it; it can not answer.
    if (tools === 0) await sleep(1000 * slowness)
    while (seen.size < tools && !over) {
      const children = readFileSync(`/proc/${killed}/task/${killed}/children`, 'utf8')
      for (const child of children.split(' ').filter((pid) => pid !== '')) seen.add(child)
      await new Promise((resolve) => setImmediate(resolve))
    }
    process.kill(killed, 'SIGKILL')
    await mounting
    await real.agent.removeMount(mountId, 'user')
    expect(await leftBehind(before)).toEqual([])
    await waitFor('another tool runner', async () => runner() > 0 && runner() !== killed, 10_000)
  }
  expect(refused).toBeGreaterThan(0)
}, 600_000)

it('a qemu-nbd that dies takes its export with it, and says so', async () => {
  const { pid } = await newExport('dying', 34)
  process.kill(pid!, 'SIGKILL')
  await waitFor('the loss', async () => (await real.agent.getExport('dying')).status === 'lost', 5_000)
  await real.agent.dropExport('dying', true)
  expect(readdirSync(real.repositoryPath).filter((name) => name.startsWith('ctx-crash'))).toEqual([])
})

it('a folder of a mount that nobody remembers keeps no mount from ending', async () => {
  const disk = await sealedDisk(real, hostImage)
  const mountId = randomUUID()
  await real.agent.ensureMount(mountId, mountOf(disk))
  // As a removal that failed once leaves it.
  mkdirSync(join(real.restoreRoot, mountId, 'partition-9'))
  await real.agent.removeMount(mountId, 'user')
  expect(readdirSync(real.restoreRoot)).toEqual([])
  expect(await leftBehind(before)).toEqual([])
})

it('an exporter that dies under a mount gives errors, never wrong bytes, and is cleaned up', async () => {
  const mountId = randomUUID()
  await real.agent.ensureMount(mountId, mountOf(await sealedDisk(real, hostImage)))
  const entry = readFileSync(join(real.folder, 'state/ledger/mounts', `${mountId}.json`), 'utf8')
  const { records } = JSON.parse(entry) as { records: Record<string, { attach: { pid: number } }> }
  process.kill(records['disk-0']!.attach.pid, 'SIGKILL')
  await real.agent.removeMount(mountId, 'user')
  expect(await leftBehind(before)).toEqual([])
})

it('a seal that a kill interrupts is finished by the next agent, or the disk is lost', async () => {
  await newExport('sealing', 33, 256 << 20)
  const large = join(real.folder, 'large.raw')
  writeFileSync(large, Buffer.alloc(200 << 20, 'data'))
  copyInto(large, real.firstPort + 33, 'sealing')
  rmSync(large)
  const seal = real.agent.sealExport('sealing', { ...sealRequest('sealing'), wait_seconds: 0 })
  await seal.catch(() => undefined)
  await real.killAndRestart()
  const state = await real.agent.sealExport('sealing', { ...sealRequest('sealing'), wait_seconds: 30 })
  expect(['sealed', 'lost']).toContain(state.status)
  const [check] = await real.agent.inspectChain({ ...file('sealing'), bases: ['sealing'] })
  expect(check!.sealed).toBe(state.status === 'sealed')
  await real.agent.dropExport('sealing', true)
})

it('what was not flushed is flushed by the seal, and the file is sealed for good', async () => {
  const { port, path } = await newExport('flush', 32)
  const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: 'flush' })
  await client.write(1_000_000, Buffer.alloc(70_000, 'Z'))
  const state = await real.agent.sealExport('flush', sealRequest('flush'))
  expect(state.status).toBe('sealed')
  client.destroy()
  expect(statSync(path).mode & 0o777).toBe(0o444)
  const raw = join(real.folder, 'read-back.raw')
  sh('/usr/bin/qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', path, raw])
  expect(readFileSync(raw).subarray(1_000_000, 1_070_000).equals(Buffer.alloc(70_000, 'Z'))).toBe(true)
  rmSync(raw)
  const manifest = JSON.parse(readFileSync(path.replace('.qcow2', '.manifest.json'), 'utf8')) as {
    checksums: { digest: string }
    virtual_size_bytes: number
  }
  expect(manifest.virtual_size_bytes).toBe(64 << 20)
  await real.agent.dropExport('flush', false)
  // A header that names a file of the host is never followed.
  const evil = join(real.repositoryPath, 'ctx-evil/disk-0')
  mkdirSync(evil, { recursive: true })
  sh('/usr/bin/qemu-img', [
    'create',
    '-q',
    '-u',
    '-f',
    'qcow2',
    '-b',
    '/etc/passwd',
    '-F',
    'raw',
    join(evil, 'evil.qcow2'),
    '1M',
  ])
  expect(
    (await real.agent.inspectChain({ ...file('evil'), vm_backup_context_id: 'ctx-evil', bases: ['evil'] }))[0]!.problem,
  ).toContain('backing file')
  const refused = await real.agent
    .ensureMount(randomUUID(), mountOf({ ...file('evil'), vm_backup_context_id: 'ctx-evil', bases: ['evil'] }))
    .catch((error: { code: string }) => error.code)
  expect(refused).toBe('CHAIN_BROKEN')
  for (const [offset, value] of [
    [72, 4n],
    [72, 1n << 40n],
    [24, 1n << 62n],
  ] as const) {
    const header = openSync(join(evil, 'evil.qcow2'), 'r+')
    const field = Buffer.alloc(8)
    field.writeBigUInt64BE(value)
    writeSync(header, field, 0, 8, offset)
    closeSync(header)
    expect(
      (await real.agent.inspectChain({ ...file('evil'), vm_backup_context_id: 'ctx-evil', bases: ['evil'] }))[0]!
        .problem,
    ).not.toBeNull()
  }
})

it('a full repository fails the seal or the write, never silently', async () => {
  const disk = join(real.folder, 'small.fs')
  blankImage(disk, 24 << 20)
  sh('/usr/sbin/mkfs.ext4', ['-q', '-F', disk])
  const small = join(real.folder, 'small')
  mkdirSync(small)
  sh('/usr/bin/mount', ['-o', 'loop', disk, small])
  try {
    await real.agent.ensureRepository('small', small)
    const target = { ...file('full'), repository_id: 'small' }
    await real.agent.ensureExport('full', {
      kind: 'new',
      job_id: 'full',
      port: real.firstPort + 31,
      file: target,
      virtual_size_bytes: 64 << 20,
      parent_bases: [],
      shared_connections: 10,
    })
    const client = await NbdClient.connect({ host: '127.0.0.1', port: real.firstPort + 31, exportName: 'full' })
    const write = async () => {
      for (let at = 0; at < 48; at++) await client.write(at << 20, Buffer.alloc(1 << 20, at + 1))
    }
    await expect(write()).rejects.toThrow('ENOSPC')
    client.destroy()
    await real.agent.dropExport('full', true)
    expect(readdirSync(small)).toEqual(expect.not.arrayContaining(['ctx-crash']))
    await real.agent.forgetRepository('small')
  } finally {
    sh('/usr/bin/umount', [small])
  }
})

it('a disk that refuses what qemu-nbd took loses the export, long before anybody seals it', async () => {
  const backing = join(real.folder, 'backing')
  const broken = join(real.folder, 'broken')
  for (const folder of [backing, broken]) mkdirSync(folder)
  // A filesystem on a disk that turns out smaller than it says: writes reach the page cache and no further.
  sh('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', backing])
  try {
    blankImage(join(backing, 'disk'), 256 << 20)
    sh('/usr/sbin/mkfs.ext4', ['-q', '-F', join(backing, 'disk')])
    sh('/usr/bin/mount', ['-o', 'loop', join(backing, 'disk'), broken])
    await real.agent.ensureRepository('broken', broken)
    const port = real.firstPort + 32
    await real.agent.ensureExport('refused', {
      kind: 'new',
      job_id: 'refused',
      port,
      file: { ...file('refused'), repository_id: 'broken' },
      virtual_size_bytes: 64 << 20,
      parent_bases: [],
      shared_connections: 10,
    })
    const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: 'refused' })
    for (let at = 0; at < 48; at++) await client.write(at << 20, Buffer.alloc(1 << 20, at + 1)).catch(() => undefined)
    await waitFor('the loss', async () => (await real.agent.getExport('refused')).status === 'lost', 10_000)
    expect((await real.agent.getExport('refused')).error_message).toContain('could not be written')
    client.destroy()
    // When the filesystem has given up by now, nothing can be removed from it; that is said, and tried again below.
    const refusal = await real.agent.dropExport('refused', true).catch((error: unknown) => error)
    if (refusal instanceof Error) expect(refusal).toMatchObject({ code: 'SERVICE_UNAVAILABLE' })
  } finally {
    sh('/usr/bin/umount', [broken])
    sh('/usr/bin/umount', [backing])
  }
  await real.agent.dropExport('refused', true)
  await real.agent.forgetRepository('broken')
})

it('an idle mount ends by itself, one that is being read does not', async () => {
  const mountId = randomUUID()
  await real.agent.ensureMount(mountId, mountOf(await sealedDisk(real, image)))
  const stream = await real.agent.readFile(mountId, {
    path_b64: encode('/file'),
    start: 0,
    length: 1_000_000,
    etag: '',
  })
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  expect((await real.agent.getMount(mountId)).status).toBe('mounted')
  for await (const _ of stream);
  await waitFor('the expiry', async () => (await real.agent.listMounts()).mounts.length === 0, 10_000)
  expect((await real.agent.listMounts()).ended).toContainEqual(
    expect.objectContaining({ mount_id: mountId, reason: 'expired' }),
  )
  expect(await leftBehind(before)).toEqual([])
})
