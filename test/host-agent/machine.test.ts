/** Guests' filesystems that only a kernel reads, in a throw-away machine: what it shows, what it may do, and what its end costs. */
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { HubError } from '../../contract/errors.ts'
import { ensureExportUsers } from '../../runtime/host.ts'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import {
  blankImage,
  type FilesystemKind,
  filesystemImage,
  leastBytes,
  makeFilesystem,
  sh,
  withLoop,
  withMounted,
} from '../support/images.ts'
import { residentBytes } from '../support/memory.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { processesOf } from '../support/sandbox.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'
import { differences, plant, type Tree, treeOn, treeThrough } from '../support/tree.ts'
import { VolumeGroup, withLoops } from '../support/volumes.ts'

let real: RealAgent
let before: Census
let image: string
beforeAll(async () => {
  real = await openRealAgent({ hostMounts: [], machineMounts: ['ext4', 'xfs', 'btrfs', 'vfat', 'iso9660'] })
  image = join(real.folder, 'image.raw')
  // The first, and with it the one that waits for the next mount.
  filesystemImage(image, 'ext4', leastBytes.ext4, () => undefined)
  await mount(image)
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  rmSync(image, { force: true })
  expect(await leftBehind(before, 60_000)).toEqual([])
})
afterAll(() => real.close())

const mount = async (...images: string[]) => {
  const disks = []
  for (const path of images) disks.push(await sealedDisk(real, path))
  return real.agent.ensureMount(randomUUID(), mountOf(...disks)).catch((error: HubError) => {
    throw new Error(`${error.message}: ${error.details}`)
  })
}
const pathOf = (path: string) => ({ path_b64: Buffer.from(path).toString('base64') })
const read = async (id: string, path: string, start: number, length: number) =>
  buffer(await real.agent.readFile(id, { ...pathOf(path), start, length, etag: '' }))
const list = (id: string) => real.agent.listFiles(id, { ...pathOf('/'), recursive: false, limit: 100, offset: 0 })
const machines = () => processesOf(real.pid(), '/usr/bin/qemu-system-x86_64')

/** @returns what was written to it */
const filled = (path: string, kind: FilesystemKind): Tree => {
  let tree: Tree = new Map()
  filesystemImage(path, kind, leastBytes[kind], (folder) => {
    plant(folder, { links: true, nameMax: 255, isDos: false, many: 20 })
    tree = treeOn(folder)
  })
  return tree
}

it('shows all of ext4, XFS and btrfs as it was written, in three machines at once', async () => {
  const showsAll = async (kind: 'ext4' | 'xfs' | 'btrfs') => {
    const disk = join(real.folder, `${kind}.raw`)
    const tree = filled(disk, kind)
    const { mount_id, partitions } = await mount(disk)
    expect(partitions).toMatchObject([{ mounted: true, reader: 'machine', filesystem: kind, journal: 'clean' }])
    expect(differences(tree, await treeThrough(real, mount_id, 0))).toEqual([])
    rmSync(disk)
  }
  await Promise.all([showsAll('ext4'), showsAll('xfs'), showsAll('btrfs')])
})

it('shows a FAT stick and a disc, which nothing else here reads', async () => {
  const folder = join(real.folder, 'files')
  mkdirSync(join(folder, 'docs'), { recursive: true })
  const content = randomBytes(300_000)
  writeFileSync(join(folder, 'docs/read me.txt'), content)
  sh('/usr/bin/genisoimage', ['-quiet', '-R', '-o', image, folder])
  const stick = join(real.folder, 'stick.raw')
  blankImage(stick, 64 << 20)
  sh('/usr/sbin/mkfs.vfat', ['-F', '32', stick])
  sh('/usr/bin/mcopy', ['-i', stick, '-s', join(folder, 'docs'), '::'])
  const { mount_id, partitions } = await mount(image, stick)
  expect(partitions).toMatchObject([
    { number: 0, filesystem: 'iso9660', mounted: true, reader: 'machine' },
    { number: 256, filesystem: 'vfat', mounted: true, reader: 'machine' },
  ])
  for (const partition of [0, 256]) {
    const at = { ...pathOf('/docs/read me.txt'), partition }
    const { etag, size } = await real.agent.fileInfo(mount_id, at)
    expect(size).toBe(content.length)
    const seen = await buffer(await real.agent.readFile(mount_id, { ...at, start: 0, length: size, etag }))
    expect(seen.equals(content)).toBe(true)
  }
  for (const path of [stick, folder]) rmSync(path, { recursive: true })
})

it('replays a dirty journal beside the backup, which stays as it is', async () => {
  const live = join(real.folder, 'live.raw')
  blankImage(live, leastBytes.xfs)
  withLoop(live, (device) => {
    makeFilesystem('xfs', device)
    withMounted('xfs', device, (folder) => {
      writeFileSync(join(folder, 'synced'), 'in the log only')
      sh('/usr/bin/sync', [join(folder, 'synced')])
      copyFileSync(live, image)
    })
  })
  rmSync(live)
  const disk = await sealedDisk(real, image)
  const file = join(real.repositoryPath, disk.vm_backup_context_id, 'disk-0', `${disk.bases[0]}.qcow2`)
  const sealed = readFileSync(file)
  const { mount_id, partitions } = await real.agent.ensureMount(randomUUID(), mountOf(disk))
  expect(partitions).toMatchObject([{ mounted: true, reader: 'machine', journal: 'replayed' }])
  expect((await read(mount_id, '/synced', 0, 15)).toString()).toBe('in the log only')
  await real.agent.removeMount(mount_id, 'user')
  expect(readFileSync(file).equals(sealed)).toBe(true)
})

it('shows a volume that lies in stripes over two disks, which the sandbox puts together', async () => {
  const inner = join(real.folder, 'inner.raw')
  const tree = filled(inner, 'btrfs')
  const disks = [join(real.folder, 'first.raw'), join(real.folder, 'second.raw')]
  for (const disk of disks) blankImage(disk, 80 << 20)
  withLoops(disks, (devices) => {
    const group = new VolumeGroup('guest', devices)
    group.add('data', 32, ['-i', '2'])
    group.pour('data', inner)
  })
  const { mount_id, partitions } = await mount(...disks)
  const volume = partitions.find(({ kind }) => kind === 'lv')!
  expect(volume).toMatchObject({ name: 'guest/data', mounted: true, reader: 'machine', filesystem: 'btrfs' })
  expect(differences(tree, await treeThrough(real, mount_id, volume.number))).toEqual([])
  for (const path of [inner, ...disks]) rmSync(path)
})

it('is nobody, has no network, and sees no file of the host but programs', async () => {
  filled(image, 'ext4')
  await mount(image)
  const users = await ensureExportUsers()
  expect(machines().length).toBeGreaterThan(0)
  for (const pid of machines()) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const uid = Number(/^Uid:\t(\d+)/m.exec(status)![1])
    expect(uid).toBeGreaterThan(users.uid)
    expect(uid).toBeLessThan(users.uid + 1024)
    expect(status).toMatch(/^CapEff:\t0+$/m)
    expect(status).toMatch(/^CapBnd:\t0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status).toMatch(/^Seccomp:\t2$/m)
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts'])
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`)).not.toBe(readlinkSync(`/proc/self/ns/${kind}`))
    expect(readdirSync(`/proc/${pid}/root/`).sort()).toEqual([
      'bin',
      'dev',
      'etc',
      'lib',
      'lib64',
      'machine',
      'proc',
      'run',
      'sbin',
      'usr',
    ])
    expect(readdirSync(`/proc/${pid}/root/etc`)).toEqual(['ld.so.cache'])
    expect(readdirSync(`/proc/${pid}/root/run`)).toEqual(['agent'])
  }
})

it('goes on from the state of the first; one that can not be used is made anew', async () => {
  filled(image, 'ext4')
  const folder = join(real.folder, 'state/machines')
  const state = join(folder, readdirSync(folder).find((name) => name.startsWith('state-'))!)
  const isResumed = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('-incoming')
  const spare = async () => {
    await waitFor('the machine that waits for a mount', async () => machines().length === 1, 60_000)
    return machines()[0]!
  }
  const resumed = await spare()
  expect(isResumed(resumed)).toBe(true)
  // Of its 640 MiB it has what the first one used; free pages are neither saved nor looked at.
  expect(await residentBytes(resumed)).toBeLessThan(500 << 20)
  truncateSync(state, 1_000_000)
  await mount(image)
  await waitFor('a state made anew', async () => existsSync(state) && statSync(state).size > 50_000_000, 60_000)
  const { mount_id } = await mount(image)
  expect((await list(mount_id)).entries.length).toBeGreaterThan(0)
})

it('one whose machine dies costs its own mount, and says so; what was cut does not look whole', async () => {
  filesystemImage(image, 'ext4', 128 << 20, (folder) => writeFileSync(join(folder, 'large'), randomBytes(80 << 20)))
  await waitFor('the machine that waits for a mount', async () => machines().length === 1, 60_000)
  const [others] = machines()
  const other = await mount(image)
  const { mount_id } = await mount(image)
  const stream = await real.agent.readArchive(mount_id, { ...pathOf('/'), format: 'zip' })
  stream.once('data', () => {
    for (const pid of machines()) if (pid !== others) process.kill(pid, 'SIGKILL')
  })
  const [error] = (await Promise.race([once(stream, 'error'), once(stream, 'end').then(() => ['ended in order'])])) as [
    unknown,
  ]
  expect(error).toBeInstanceOf(Error)
  await expect(list(mount_id)).rejects.toMatchObject({
    code: expect.stringMatching('SERVICE_UNAVAILABLE|MOUNT_NOT_FOUND'),
  })
  expect((await list(other.mount_id)).entries.map(({ name }) => name)).toContain('large')
})
