/** Volumes within volumes: LVM, LUKS, several disks at once. Made by their own tools, read by the real agent. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { DiskChain, MountState } from '../../contract/agent.ts'
import type { Partition } from '../../contract/api/restore.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { blankImage, type FilesystemKind, filesystemImage, sh, withLoop } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'
import { encrypted, encryptInPlace, VolumeGroup, withLoops } from '../support/volumes.ts'

let real: RealAgent
let before: Census
beforeAll(async () => {
  real = await openRealAgent()
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  for (const name of readdirSync(real.folder)) if (name.endsWith('.raw')) rmSync(join(real.folder, name))
  expect(await leftBehind(before)).toEqual([])
})
afterAll(() => real.close())

const mebibyte = 2 ** 20
const extentBytes = 4 * mebibyte
const file = (name: string) => join(real.folder, `${name}.raw`)
const encode = (path: string) => Buffer.from(path).toString('base64')
const secret = (text: string) => Buffer.from(text).toString('base64')

/** What each filesystem holds, and nothing else does. */
const contents = new Map<string, Buffer>()
const filesystem = (name: string, kind: FilesystemKind, extents: number): string => {
  const path = file(`fs-${name}`)
  const content = randomBytes(2 * mebibyte + 12_345)
  contents.set(name, content)
  filesystemImage(path, kind, extents * extentBytes, (root) => {
    mkdirSync(join(root, 'deep'))
    writeFileSync(join(root, 'deep', name), content)
  })
  return path
}
const mount = (disks: DiskChain[], secrets: string[] = []): Promise<MountState> =>
  real.agent.ensureMount(randomUUID(), { ...mountOf(...disks), secrets })
const read = async (id: string, path: string, partition: number) => {
  const at = { path_b64: encode(path), partition }
  const { size, etag } = await real.agent.fileInfo(id, at)
  return buffer(await real.agent.readFile(id, { ...at, start: 0, length: size, etag }))
}
const named = ({ partitions }: MountState, name: string): Partition => {
  const found = partitions.find((partition) => partition.name === name)
  if (!found) throw new Error(`no ${name} among ${partitions.map((partition) => partition.name).join(', ')}`)
  return found
}
/** The volume is mounted, and holds what was put there. */
const holds = async (state: MountState, name: string, what = name.split('/').at(-1)!) => {
  const volume = named(state, name)
  expect(volume, name).toMatchObject({ mounted: true, reason: null })
  expect((await read(state.mount_id, `/deep/${what}`, volume.number)).equals(contents.get(what)!), name).toBe(true)
  return volume
}
const checksums = () =>
  (readdirSync(real.repositoryPath, { recursive: true }) as string[])
    .filter((name) => lstatSync(join(real.repositoryPath, name)).isFile())
    .sort()
    .map((name) =>
      createHash('sha256')
        .update(readFileSync(join(real.repositoryPath, name)))
        .digest('hex'),
    )

const partitioned = (path: string, megabytes: number, table: string) => {
  blankImage(path, megabytes * mebibyte)
  sh('/usr/sbin/sfdisk', ['--quiet', path], table)
}

it('opens the volumes of one disk as a Red Hat installer lays them out', async () => {
  const disk = file('disk')
  partitioned(disk, 1100, 'label: gpt\nsize=8M, type=uefi\nsize=330M\ntype=lvm\n')
  const boot = filesystem('boot', 'xfs', 80)
  const [root, home] = [filesystem('root', 'xfs', 90), filesystem('home', 'ext4', 40)]
  withLoop(disk, (device) => {
    sh('/usr/bin/dd', [`if=${boot}`, `of=${device}p2`, 'bs=1M', 'status=none'])
    const group = new VolumeGroup('rhel', [`${device}p3`])
    group.add('root', 90)
    group.add('swap', 8)
    group.add('home', 40)
    group.pour('root', root)
    group.pour('home', home)
  })
  const chain = await sealedDisk(real, disk)
  const sums = checksums()
  const state = await mount([chain])
  expect(state.partitions.map(({ name, kind }) => [name.replace(/^loop\d+/, 'disk'), kind])).toEqual([
    ['diskp1', 'partition'],
    ['diskp2', 'partition'],
    ['diskp3', 'partition'],
    ['rhel/home', 'lv'],
    ['rhel/root', 'lv'],
    ['rhel/swap', 'lv'],
  ])
  expect(await holds(state, 'rhel/home')).toMatchObject({ reader: 'sandbox', filesystem: 'ext4', disk_index: 0 })
  expect(await holds(state, 'rhel/root')).toMatchObject({ reader: 'host', filesystem: 'xfs', is_default: true })
  expect(state.partitions[1]).toMatchObject({ mounted: true, filesystem: 'xfs' })
  expect(state.partitions[2]).toMatchObject({ mounted: false, type: 'lvm', locked: false })
  expect(state.partitions[2]!.reason).toContain('listed beside it')
  await real.agent.removeMount(state.mount_id, 'user')
  expect(checksums()).toEqual(sums)
})

it('puts volumes together that lie in several places, and shows each of two points its own', async () => {
  const disk = file('disk')
  const chains: DiskChain[] = []
  for (const point of ['first', 'second']) {
    blankImage(disk, 1200 * mebibyte)
    const [data, kernel] = [filesystem(`data-${point}`, 'ext4', 40), filesystem(`kernel-${point}`, 'xfs', 90)]
    withLoop(disk, (device) => {
      const group = new VolumeGroup('vg', [device])
      group.add('data', 20)
      group.add('kernel', 45)
      group.extend('data', 20)
      group.extend('kernel', 45)
      group.pour('data', data)
      group.pour('kernel', kernel)
    })
    chains.push(await sealedDisk(real, disk))
  }
  const [first, second] = [await mount([chains[0]!]), await mount([chains[1]!])]
  for (const [state, point] of [
    [first, 'first'],
    [second, 'second'],
  ] as const) {
    expect(await holds(state, 'vg/data', `data-${point}`)).toMatchObject({ reader: 'sandbox', disk_index: null })
    expect(await holds(state, 'vg/kernel', `kernel-${point}`)).toMatchObject({ reader: 'host' })
  }
})

it('opens a volume group over three disks, striped and not, and says which disks are missing', async () => {
  const images = ['a', 'b', 'c'].map(file)
  for (const image of images) blankImage(image, 300 * mebibyte)
  const [striped, spread] = [filesystem('striped', 'ext4', 30), filesystem('spread', 'ext4', 60)]
  withLoops(images, (devices) => {
    const group = new VolumeGroup('data', devices)
    group.add('striped', 30, ['--stripes', '3', '--stripesize', '64k'])
    group.add('spread', 30, [devices[0]!])
    group.extend('spread', 30, [devices[2]!])
    group.pour('striped', striped)
    group.pour('spread', spread)
  })
  const chains: DiskChain[] = []
  for (const image of images) chains.push(await sealedDisk(real, image))
  const state = await mount(chains)
  await holds(state, 'data/striped')
  await holds(state, 'data/spread')
  await expect(mount(chains.slice(0, 1))).rejects.toMatchObject({
    code: 'NO_MOUNTABLE_FILESYSTEM',
    details: expect.stringContaining('open all disks together'),
  })
})

it('opens LUKS volumes with a password, below LVM as Ubuntu has it, and on their own', async () => {
  const [ubuntu, old] = [file('ubuntu'), file('old')]
  blankImage(ubuntu, 400 * mebibyte)
  const root = filesystem('root', 'ext4', 60)
  withLoop(ubuntu, (device) => {
    const group = new VolumeGroup('ubuntu-vg', [device])
    group.add('ubuntu-lv', 60)
    group.pour('ubuntu-lv', root)
  })
  encryptInPlace(ubuntu, 'correct horse')
  encrypted(old, filesystem('plain', 'ext4', 10), 'battery staple', ['--type', 'luks1'])

  const chains = [await sealedDisk(real, ubuntu), await sealedDisk(real, old)]
  for (const secrets of [[], [secret('wrong')]])
    await expect(mount([chains[0]!], secrets)).rejects.toMatchObject({
      code: 'NO_MOUNTABLE_FILESYSTEM',
      extra: { partitions: [expect.objectContaining({ locked: true, mounted: false })] },
    })
  const state = await mount(chains, [secret('wrong'), secret('battery staple'), secret('correct horse')])
  expect(state.partitions.filter(({ kind }) => kind === 'decrypted')).toHaveLength(2)
  expect(await holds(state, 'ubuntu-vg/ubuntu-lv', 'root')).toMatchObject({ kind: 'lv', reader: 'sandbox' })
  const plain = state.partitions.find(({ kind, mounted }) => kind === 'decrypted' && mounted)!
  expect((await read(state.mount_id, '/deep/plain', plain.number)).equals(contents.get('plain')!)).toBe(true)
  // Nobody finds it on disk afterwards.
  const ledger = join(real.folder, 'state')
  for (const name of readdirSync(ledger, { recursive: true }) as string[])
    if (name.endsWith('.json')) expect(readFileSync(join(ledger, name), 'utf8')).not.toContain(secret('correct horse'))
})
