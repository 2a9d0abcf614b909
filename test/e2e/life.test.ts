/** The product's main story, with its own node: back up a real two-disk VM, browse it, get files back, and lose nothing on the way. */
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  createWriteStream,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { type Hub, registerVm, runBackup, startHub } from '../support/hub.ts'
import { filesystemImage, sh, withLoop, withMounted } from '../support/images.ts'
import { residentBytes } from '../support/memory.ts'

let hub: Hub
let before: Census
let vm: { vmName: string; repositoryId: string }
let folder: string
const content = randomBytes(2_000_000)
const sha = (data: Buffer) => createHash('sha256').update(data).digest('hex')
beforeAll(async () => {
  before = await census()
  hub = await startHub()
  folder = join(hub.folder, 'vms/two disks')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 80 << 20, (root) => {
    mkdirSync(join(root, 'etc'))
    for (let at = 0; at < 300; at++) writeFileSync(join(root, 'etc', `file ${at}`), `content ${at}\n`)
    writeFileSync(join(root, 'big.bin'), content)
    writeFileSync(join(root, 'huge'), '')
    truncateSync(join(root, 'huge'), 10 * 2 ** 30)
  })
  filesystemImage(join(folder, 'disk1.raw'), 'ntfs', 40 << 20, (root) =>
    writeFileSync(join(root, 'on ntfs.txt'), 'windows'),
  )
  // No multiple of 64 KiB, and of a format of its own.
  truncateSync(join(folder, 'disk1.raw'), (40 << 20) + 512)
  sh('/usr/bin/qemu-img', [
    'convert',
    '-f',
    'raw',
    '-O',
    'qcow2',
    join(folder, 'disk1.raw'),
    join(folder, 'disk2.qcow2'),
  ])
  vm = await registerVm(hub, 'two disks')
})
afterAll(async () => {
  await hub.stop()
  expect(await leftBehind(before)).toEqual([])
})

const equalToSource = (backup: any) => {
  for (const disk of backup.disks) {
    const format = disk.original_path.endsWith('.raw') ? 'raw' : 'qcow2'
    expect(
      sh('/usr/bin/qemu-img', ['compare', '-f', 'qcow2', '-F', format, disk.qcow2_path, disk.original_path]),
    ).toContain('identical')
  }
}
const change = (name: string, offset: number, data: Buffer) => {
  const fd = openSync(join(folder, name), 'r+')
  writeSync(fd, data, 0, data.length, offset)
  closeSync(fd)
}
let full: any

it('backs up all disks in full', async () => {
  full = await runBackup(hub, vm, 'full')
  expect(full).toMatchObject({ status: 'completed', progress_percent: 100, disk_count: 3, error_message: null })
  equalToSource(full)
})
it('stores of an incremental what changed, and reads as the source does', async () => {
  withLoop(join(folder, 'disk0.raw'), (device) =>
    withMounted('ext4', device, (root) => writeFileSync(join(root, 'etc', 'new file'), 'new')),
  )
  change('disk1.raw', 20 << 20, Buffer.alloc(128 << 10))
  const incremental = await runBackup(hub, vm, 'incremental')
  expect(incremental).toMatchObject({ status: 'completed', parent_backup_id: full.backup_id })
  equalToSource(incremental)
  expect(incremental.size_bytes).toBeLessThan(full.size_bytes / 2)
  equalToSource({ ...full, disks: [] })
})
it('notices a source that is written while it is read', async () => {
  const image = join(folder, 'disk0.raw')
  const writer = setInterval(() => change('disk0.raw', 70 << 20, randomBytes(16)), 5)
  const failed = await runBackup(hub, vm, 'full').finally(() => clearInterval(writer))
  expect(failed).toMatchObject({
    status: 'failed',
    error_message: expect.stringContaining('was written while it was read'),
  })
  expect(statSync(image).size).toBe(80 << 20)
  expect((await hub.api('GET', `/backups/changeid?vm_name=two%20disks&disk_id=0`)).body.backup_id).not.toBe(
    failed.backup_id,
  )
})
it('cancels, and leaves nothing of it', async () => {
  const { body } = await hub.api('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'full',
  })
  expect((await hub.api('POST', `/backups/${body.backup_id}/cancel`)).status).toBe(200)
  const seconds = body.disk_results[0].qcow2_path.slice(-21, -6)
  expect(
    (readdirSync(hub.repositoryPath, { recursive: true }) as string[]).filter((name) => name.includes(seconds)),
  ).toEqual([])
  // The backup that failed before may still be letting go of its own.
  await waitFor(
    'the ports to be free',
    async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0,
    10_000,
  )
})

it('gives single files back, the backup untouched', async () => {
  const incremental = (await hub.api('GET', '/backups/chain?vm_name=two%20disks')).body.backups.at(-1)
  const sums = () =>
    (readdirSync(hub.repositoryPath, { recursive: true }) as string[])
      .filter((name) => name.endsWith('.qcow2'))
      .sort()
      .map((name) => `${name} ${sha(readFileSync(join(hub.repositoryPath, name)))}`)
  const untouched = sums()
  const { status, body: mount } = await hub.api('POST', '/restore/mount', {
    backup_id: incremental.backup_id,
    disk_index: 0,
  })
  expect(status).toBe(200)
  const path = `/restore/${mount.mount_id}`
  const listed = (await hub.api('GET', `${path}/files?path=/etc&limit=1000`)).body
  expect(listed.total_count).toBe(301)
  expect(Buffer.from(await (await hub.fetch(`${path}/download?path=/big.bin`)).arrayBuffer()).equals(content)).toBe(
    true,
  )

  const archive = join(hub.folder, 'etc.zip')
  await pipeline(
    Readable.fromWeb((await hub.fetch(`${path}/download-directory?path=/etc`)).body as never),
    createWriteStream(archive),
  )
  sh('/usr/bin/unzip', ['-q', archive, '-d', join(hub.folder, 'unpacked')])
  for (let at = 0; at < 300; at++)
    expect(readFileSync(join(hub.folder, 'unpacked', `file ${at}`), 'utf8')).toBe(`content ${at}\n`)
  const link = (await hub.api('POST', `${path}/download-token`, { path: '/etc/new file' })).body
  expect(await (await fetch(`${hub.url}${link.url}`)).text()).toBe('new')

  const ntfs = (await hub.api('POST', '/restore/mount', { backup_id: incremental.backup_id, disk_index: 1 })).body
  expect(ntfs.filesystem_type).toBe('ntfs')
  expect(await (await hub.fetch(`/restore/${ntfs.mount_id}/download?path=/on%20ntfs.txt`)).text()).toBe('windows')
  for (const id of [mount.mount_id, ntfs.mount_id]) expect((await hub.api('DELETE', `/restore/${id}`)).status).toBe(200)
  expect(sums()).toEqual(untouched)
})

/** Raw path of a request: fetch would tidy it up. */
const raw = (path: string, headers: Record<string, string> = {}) =>
  new Promise<number>((resolve, reject) => {
    const { hostname, port } = new URL(hub.url)
    const outgoing = request(
      { hostname, port, path, headers: { Authorization: `Bearer ${hub.token}`, ...headers } },
      (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })

it('resumes a cut download, keeps its memory flat over 5 of 10 GiB, and survives its hub', async () => {
  const { body: mount } = await hub.api('POST', '/restore/mount', { backup_id: full.backup_id, disk_index: 0 })
  const path = `/restore/${mount.mount_id}/download?path=/big.bin`
  const first = await hub.fetch(path)
  const reader = first.body!.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  const rest = await hub.fetch(path, { Range: `bytes=${value!.length}-`, 'If-Range': first.headers.get('etag')! })
  expect(rest.status).toBe(206)
  expect(Buffer.concat([value!, Buffer.from(await rest.arrayBuffer())]).equals(content)).toBe(true)

  const rss = (name: 'hub' | 'host-agent') => residentBytes(hub.pidOf(name))
  const warm = await hub.fetch(`/restore/${mount.mount_id}/download?path=/huge`, { Range: 'bytes=0-268435455' })
  await pipeline(Readable.fromWeb(warm.body as never), createWriteStream('/dev/null'))
  const [hubBefore, agentBefore] = [rss('hub'), rss('host-agent')]
  let most = { hub: 0, agent: 0 }
  const sampler = setInterval(() => {
    most = { hub: Math.max(most.hub, rss('hub')), agent: Math.max(most.agent, rss('host-agent')) }
  }, 100)
  const huge = await hub.fetch(`/restore/${mount.mount_id}/download?path=/huge`)
  expect(huge.headers.get('content-length')).toBe(String(10 * 2 ** 30))
  let received = 0
  for await (const chunk of Readable.fromWeb(huge.body as never)) {
    received += (chunk as Buffer).length
    if (received > 5 * 2 ** 30) break
  }
  clearInterval(sampler)
  expect(received).toBeGreaterThan(5 * 2 ** 30)
  const end = await hub.fetch(`/restore/${mount.mount_id}/download?path=/huge`, { Range: 'bytes=-1000' })
  expect(end.headers.get('content-range')).toBe(`bytes ${10 * 2 ** 30 - 1000}-${10 * 2 ** 30 - 1}/${10 * 2 ** 30}`)
  expect((await end.arrayBuffer()).byteLength).toBe(1000)
  expect(most.hub - hubBefore).toBeLessThan(64 << 20)
  expect(most.agent - agentBefore).toBeLessThan(64 << 20)

  // A hub that is killed in the middle cuts the download; the mount is there for the next one.
  const cut = await hub.fetch(`/restore/${mount.mount_id}/download?path=/huge`)
  const cutReader = cut.body!.getReader()
  await cutReader.read()
  await hub.kill('hub')
  await expect(
    (async () => {
      while (!(await cutReader.read()).done);
    })(),
  ).rejects.toThrow()
  await hub.waitHealthy()
  expect(Buffer.from(await (await hub.fetch(path)).arrayBuffer()).equals(content)).toBe(true)
  for (const odd of [
    '/api/v1/../../etc/passwd',
    '/api/v1/restore/%2e%2e/files',
    `/api/v1/restore/${mount.mount_id}/files?path=/%2e%2e/%2e%2e/etc`,
    '/%00',
    `/${'a'.repeat(10_000)}`,
  ])
    expect(await raw(odd)).toBeLessThan(500)
  expect((await hub.api('DELETE', `/restore/${mount.mount_id}`)).status).toBe(200)
})

it('deletes what is no longer wanted, files and all', async () => {
  const { body } = await hub.api('DELETE', `/backups/${full.backup_id}?cascade=true`)
  expect(body.deleted_backup_ids).toHaveLength(2)
  expect(
    (readdirSync(hub.repositoryPath, { recursive: true }) as string[]).filter((name) => name.endsWith('.qcow2')),
  ).toEqual([])
  for (const { backup_id } of (await hub.api('GET', '/backups')).body.backups)
    await hub.api('DELETE', `/backups/${backup_id}`)
  expect((await hub.api('GET', '/backups')).body.total).toBe(0)
  expect(readdirSync(hub.repositoryPath)).toEqual(['sendense-repository.json'])
  rmSync(join(hub.folder, 'unpacked'), { recursive: true })
})
