/** Volumes within volumes: LVM, LUKS, several disks at once. Made by their own tools, read by the real agent. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  copyFileSync,
  createWriteStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { DiskChain, IndexLine, MountState } from '../../contract/agent.ts'
import type { Partition } from '../../contract/api/restore.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { blankImage, type FilesystemKind, filesystemImage, sh, withLoop } from '../support/images.ts'
import { entriesOf } from '../support/index-lines.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { hex, makeHive } from '../support/registry.ts'
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
const filesystem = (
  name: string,
  kind: FilesystemKind,
  extents: number,
  fill: (root: string) => void = () => undefined,
): string => {
  const path = file(`fs-${name}`)
  const content = randomBytes(2 * mebibyte + 12_345)
  contents.set(name, content)
  filesystemImage(path, kind, extents * extentBytes, (root) => {
    mkdirSync(join(root, 'deep'))
    writeFileSync(join(root, 'deep', name), content)
    fill(root)
  })
  return path
}
const mount = (disks: DiskChain[], secrets: string[] = [], guest_view = false): Promise<MountState> =>
  real.agent.ensureMount(randomUUID(), { ...mountOf(...disks), secrets, guest_view })
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
  expect(state.partitions.map(({ name, kind }) => [name.replace(/^(loop|nbd)\d+/, 'disk'), kind])).toEqual([
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

it('reads a GPT, also by its backup, and names what has no filesystem that we know', async () => {
  const disk = file('disk')
  const table = [
    'label: gpt',
    '1: start=1MiB, size=16MiB',
    '3: start=20MiB, size=64MiB',
    '4: start=90MiB, size=1MiB, name="Données \\ x"',
  ]
  partitioned(disk, 100, `${table.join('\n')}\n`)
  const made = filesystem('data', 'ext4', 4)
  const content = readFileSync(disk)
  readFileSync(made).copy(content, mebibyte)
  // ZFS: enough uberblocks in the ring of the last label.
  const zfsMagic = 0x00bab10cn
  const ring = 84 * mebibyte - 128 * 1024
  for (let at = 0; at < 8; at++) content.writeBigUInt64LE(zfsMagic, ring + at * 1024)
  const [signatureAt, checksumAt] = [512, 512 + 16]
  for (const damaged of [undefined, checksumAt, signatureAt]) {
    const image = Buffer.from(content)
    if (damaged !== undefined) image[damaged]! ^= 0xff
    writeFileSync(disk, image)
    const state = await mount([await sealedDisk(real, disk)])
    expect(state.partitions, `damaged at ${damaged}`).toMatchObject([
      { number: 1, filesystem: 'ext4', mounted: true, size_bytes: 16 * mebibyte },
      { number: 3, filesystem: 'zfs_member', mounted: false, size_bytes: 64 * mebibyte },
      { number: 4, label: 'Données \\ x', filesystem: null, mounted: false, size_bytes: mebibyte },
    ])
    await real.agent.removeMount(state.mount_id, 'user')
  }
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

const wtmp = (type: number, seconds: number) => {
  const record = Buffer.alloc(384)
  record.writeInt16LE(type, 0)
  record.writeUInt32LE(seconds, 340)
  return record
}

it('shows a machine of several disks as it saw itself, by its fstab', async () => {
  const [system, data] = [file('system'), file('data')]
  blankImage(system, 300 * mebibyte)
  const srv = filesystem('srv', 'ext4', 20, (folder) => {
    mkdirSync(join(folder, 'mysql'))
    writeFileSync(join(folder, 'mysql/table'), 'rows')
    symlinkSync('/etc/hostname', join(folder, 'mysql/host'))
  })
  const uuid = sh('/usr/sbin/blkid', ['--probe', '--output', 'value', '--match-tag', 'UUID', srv]).trim()
  const root = filesystem('root', 'ext4', 30, (folder) => {
    for (const path of ['etc', 'usr/lib', 'var', 'home', 'srv', 'var/log'])
      mkdirSync(join(folder, path), { recursive: true })
    writeFileSync(join(folder, 'usr/lib/os-release'), 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    symlinkSync('../usr/lib/os-release', join(folder, 'etc/os-release'))
    writeFileSync(join(folder, 'home/hidden by the mount'), 'hidden')
    writeFileSync(join(folder, '_errors.txt'), 'of the guest\nitself: here\n')
    writeFileSync(join(folder, 'etc/hostname'), 'db-01\n')
    writeFileSync(join(folder, 'var/log/wtmp'), Buffer.concat([wtmp(2, 1_700_000_000), wtmp(7, 1_700_000_100)]))
    writeFileSync(
      join(folder, 'etc/fstab'),
      [
        '# made by the installer',
        '/dev/mapper/vg--main-root / ext4 errors=remount-ro 0 1',
        '/dev/vg-main/home /home ext4 defaults 0 2',
        `UUID=${uuid} /srv/my\\040data ext4 defaults 0 2`,
        'UUID=00000000-0000-0000-0000-000000000000 /gone ext4 defaults 0 2',
        'tmpfs /tmp tmpfs defaults 0 0',
        'a line that is none',
        '',
      ].join('\n'),
    )
    symlinkSync('/srv/my data/mysql', join(folder, 'mysql'))
    symlinkSync('../../../../etc', join(folder, 'out'))
  })
  const home = filesystem('home', 'ext4', 15, (folder) => symlinkSync('../mysql/table', join(folder, 'link')))
  withLoop(system, (device) => {
    const group = new VolumeGroup('vg-main', [device])
    group.add('root', 30)
    group.add('home', 15)
    group.pour('root', root)
    group.pour('home', home)
  })
  sh('/usr/bin/cp', ['--sparse=always', srv, data])
  const chains = [await sealedDisk(real, system), await sealedDisk(real, data)]
  const state = await mount(chains, [], true)
  expect(state.guest).toEqual({
    os: 'Debian GNU/Linux 12 (bookworm)',
    hostname: 'db-01',
    booted_at: new Date(1_700_000_000_000).toISOString(),
  })
  expect(state.default_partition).toBe(65_535)
  expect(named(state, 'guest')).toMatchObject({ kind: 'guest', is_default: true, mounted: true })
  expect(named(state, 'vg-main/home').guest_path).toBe('/home')
  expect(state.partitions.find(({ guest_path }) => guest_path === '/srv/my data')).toMatchObject({ kind: 'whole_disk' })

  const id = state.mount_id
  const guest = async (path: string) => (await read(id, path, 65_535)).toString()
  const list = async (path: string) =>
    (await real.agent.listFiles(id, { path_b64: encode(path), recursive: false, limit: 100, offset: 0 })).entries.map(
      (entry) => entry.path,
    )
  expect(await list('/')).toEqual(expect.arrayContaining(['/etc', '/home', '/mysql', '/srv']))
  expect(await list('/home')).toEqual(expect.arrayContaining(['/home/deep', '/home/link']))
  expect((await read(id, '/home/deep/home', 65_535)).equals(contents.get('home')!)).toBe(true)
  expect(await guest('/srv/my data/mysql/table')).toBe('rows')
  // From one volume to another, and back.
  expect(await guest('/mysql/table')).toBe('rows')
  expect(await guest('/home/link')).toBe('rows')
  expect(await guest('/mysql/host')).toBe('db-01\n')
  expect(await list('/mysql')).toEqual(['/srv/my data/mysql/host', '/srv/my data/mysql/table'])
  // With all that is below it, over all volumes: what a mount hides is not there.
  const tree = async (path: string, page: object = {}) =>
    real.agent.listFiles(id, {
      path_b64: encode(path),
      partition: 65_535,
      recursive: true,
      limit: 1000,
      offset: 0,
      ...page,
    })
  const below = await tree('/')
  const paths = below.entries.map((entry) => entry.path)
  expect([below.total_count, below.truncated]).toEqual([paths.length, false])
  expect(new Set(paths).size).toBe(paths.length)
  expect(paths).toEqual(expect.arrayContaining(['/etc/fstab', '/home', '/home/deep/home', '/srv/my data/mysql/table']))
  expect(paths).toEqual(paths.toSorted((a, b) => (a.replaceAll('/', '\0') < b.replaceAll('/', '\0') ? -1 : 1)))
  expect((await tree('/', { limit: 3, offset: 2 })).entries.map((entry) => entry.path)).toEqual(paths.slice(2, 5))
  expect((await tree('/srv')).entries.map((entry) => entry.path)).toEqual(
    paths.filter((path) => path.startsWith('/srv/')),
  )
  // Every file of all volumes, and one of them, beside the mount.
  const lines = (await text(await real.agent.readIndex(mountOf(...chains)))).trim().split('\n')
  const index = lines.map((line) => JSON.parse(line) as IndexLine)
  const volumes = index.flatMap((line) => ('volume' in line ? [line.volume] : []))
  expect(volumes).toEqual(['disk 0 partition 0', 'vg-main/home', 'vg-main/root'])
  expect(entriesOf(index)).toContainEqual(['/deep/home', 'f', contents.get('home')!.length, expect.any(Number)])
  expect(entriesOf(index)).toContainEqual(['/mysql', 'l', 0, expect.any(Number)])
  expect(index.at(-1)).toEqual({ end: true })
  const fetched = await real.agent.fetchFile({
    ...mountOf(...chains),
    volume: 'vg-main/home',
    path_b64: encode('/deep/home'),
  })
  expect((await buffer(fetched.content)).equals(contents.get('home')!)).toBe(true)
  const info = await real.agent.fileInfo(id, { path_b64: encode('/srv/my data'), partition: 65_535 })
  expect(info).toMatchObject({ name: 'my data', path: '/srv/my data', type: 'directory', partition: 65_535 })
  // One archive of all volumes, as the machine had them: nothing is missing, and nothing of what a mount hides is in it.
  const unpacked = async (path: string, more: object = {}) => {
    const folder = join(real.folder, 'unpacked')
    mkdirSync(folder)
    const archive = join(real.folder, 'archive.tar.gz')
    const stream = await real.agent.readArchive(id, {
      path_b64: encode(path),
      format: 'tar.gz',
      checksums: true,
      ...more,
    })
    await pipeline(stream, createWriteStream(archive))
    sh('/usr/bin/tar', ['-C', folder, '-xzf', archive])
    sh('/bin/sh', ['-c', 'cd "$1" && sha256sum --quiet -c _checksums.sha256', 'sh', folder])
    const seen = (readdirSync(folder, { recursive: true }) as string[]).sort()
    const home = join(folder, 'home/deep/home')
    const bytes = seen.includes('home/deep/home') ? readFileSync(home) : undefined
    rmSync(folder, { recursive: true })
    return { seen, bytes }
  }
  const all = await unpacked('/')
  expect(all.seen).toEqual(
    expect.arrayContaining([
      '_errors.txt',
      'etc/hostname',
      'home/deep/home',
      'home/link',
      'srv/my data/mysql/table',
      'mysql',
    ]),
  )
  expect(all.seen).not.toContain('home/hidden by the mount')
  expect(all.bytes!.equals(contents.get('home')!)).toBe(true)
  const some = await unpacked('/', { only_b64: ['srv', 'home/deep', 'etc/hostname'].map(encode) })
  expect(some.seen).toEqual([
    '_checksums.sha256',
    ...['etc', 'etc/hostname', 'home', 'home/deep', 'home/deep/home'],
    ...['srv', 'srv/my data', 'srv/my data/deep', 'srv/my data/deep/srv', 'srv/my data/lost+found'],
    ...['srv/my data/mysql', 'srv/my data/mysql/host'],
    'srv/my data/mysql/table',
  ])
  for (const path of ['/out/hostname', '/../etc'])
    await expect(guest(path)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  await expect(guest('/gone/x')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})

it('shows the subvolumes and snapshots of btrfs as folders, and its system as its fstab has it', async () => {
  const image = file('btrfs')
  contents.set('@home', randomBytes(100_000))
  filesystemImage(image, 'btrfs', 200 * mebibyte, (root) => {
    const btrfs = (...args: string[]) => sh('/usr/bin/btrfs', args)
    for (const name of ['@', '@home']) btrfs('subvolume', 'create', join(root, name))
    for (const name of ['etc', 'home']) mkdirSync(join(root, '@', name))
    writeFileSync(join(root, '@/etc/hostname'), 'old name\n')
    writeFileSync(
      join(root, '@/etc/fstab'),
      'LABEL=btrfs-label / btrfs subvol=@ 0 0\nLABEL=btrfs-label /home btrfs subvol=/@home 0 0\n',
    )
    btrfs('subvolume', 'snapshot', '-r', join(root, '@'), join(root, '@snapshot'))
    writeFileSync(join(root, '@/etc/hostname'), 'new name\n')
    writeFileSync(join(root, '@home/file'), contents.get('@home')!)
    // What a plain mount would show.
    btrfs('subvolume', 'set-default', join(root, '@'))
  })
  const state = await mount([await sealedDisk(real, image)], [], true)
  expect((await read(state.mount_id, '/@snapshot/etc/hostname', 0)).toString()).toBe('old name\n')
  expect((await read(state.mount_id, '/@/etc/hostname', 0)).toString()).toBe('new name\n')
  expect(state.guest?.hostname).toBe('new name')
  expect((await read(state.mount_id, '/home/file', 65_535)).equals(contents.get('@home')!)).toBe(true)
})

/** As a mount manager writes it: the first three parts of a GUID are turned round in memory. */
const ofPartition = (guid: string) => {
  const [a, b, c, ...rest] = guid.split('-').map((part) => Buffer.from(part, 'hex'))
  return Buffer.concat([Buffer.from('DMIO:ID:'), ...[a!, b!, c!].map((part) => part.reverse()), ...rest])
}
const ofOldDisk = (signature: number, offset: number) => {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32LE(signature, 0)
  bytes.writeBigUInt64LE(BigInt(offset), 4)
  return bytes
}

it('shows a Windows machine of two disks by its drive letters', async () => {
  const [system, data] = [file('system'), file('data')]
  const guid = '01234567-89AB-CDEF-0123-456789ABCDEF'
  const reserved = 'E3C9E316-0B5C-4DB8-817D-F92DF00215AE'
  const table = `label: gpt\nsize=8M, type=uefi\nsize=16M, type=${reserved}\nsize=80M, uuid=${guid}\n`
  partitioned(system, 120, table)
  partitioned(data, 80, 'label: dos\nlabel-id: 0x1a2b3c4d\nsize=60M, type=7\n')
  const hives = ['SYSTEM', 'SOFTWARE'].map((name) => join(real.folder, name))
  makeHive(hives[0]!, {
    Select: { Current: 'dword:2' },
    MountedDevices: {
      '\\DosDevices\\C:': hex(ofPartition(guid)),
      '\\DosDevices\\D:': hex(ofOldDisk(0x1a2b3c4d, mebibyte)),
      '\\DosDevices\\E:': hex(Buffer.from('\\??\\SCSI#CdRom', 'utf16le')),
      '\\DosDevices\\F:': hex(ofOldDisk(0x1a2b3c4d, 5 * mebibyte)),
      '\\??\\Volume{1}': hex(ofPartition(guid)),
    },
    'ControlSet001\\Control\\ComputerName\\ComputerName': { ComputerName: 'string:OLD-NAME' },
    'ControlSet002\\Control\\ComputerName\\ComputerName': { ComputerName: 'string:FILE-01' },
  })
  makeHive(hives[1]!, {
    'Microsoft\\Windows NT\\CurrentVersion': {
      ProductName: 'string:Windows 10 Pro',
      CurrentBuildNumber: 'string:22631',
      DisplayVersion: 'string:23H2',
    },
  })
  const started = new Date('2026-11-20T06:30:00Z')
  const drives = {
    c: filesystem('c', 'ntfs', 20, (root) => {
      mkdirSync(join(root, 'Windows/System32/config'), { recursive: true })
      for (const hive of hives) copyFileSync(hive, join(root, 'Windows/System32/config', basename(hive)))
      writeFileSync(join(root, 'Windows/bootstat.dat'), Buffer.alloc(64))
      utimesSync(join(root, 'Windows/bootstat.dat'), started, started)
    }),
    d: filesystem('d', 'ntfs', 15, (root) => {
      mkdirSync(join(root, 'shares'))
      writeFileSync(join(root, 'shares/list.txt'), 'all of them')
    }),
  }
  withLoop(system, (device) => sh('/usr/bin/dd', [`if=${drives.c}`, `of=${device}p3`, 'bs=1M', 'status=none']))
  withLoop(data, (device) => sh('/usr/bin/dd', [`if=${drives.d}`, `of=${device}p1`, 'bs=1M', 'status=none']))
  const state = await mount([await sealedDisk(real, system), await sealedDisk(real, data)], [], true)
  expect(state.guest).toEqual({
    os: 'Windows 11 Pro 23H2',
    hostname: 'FILE-01',
    booted_at: started.toISOString().replace('.000Z', 'Z'),
  })
  expect(state.partitions.filter(({ guest_path }) => guest_path !== null).map(({ guest_path }) => guest_path)).toEqual([
    'C:',
    'D:',
    '/',
  ])
  const id = state.mount_id
  const list = async (path: string, more: object = {}) =>
    (await real.agent.listFiles(id, { path_b64: encode(path), recursive: false, limit: 100, offset: 0, ...more }))
      .entries
  expect((await list('/')).map(({ path, type }) => [path, type])).toEqual([
    ['/C:', 'directory'],
    ['/D:', 'directory'],
  ])
  expect((await list('/', { offset: 1 })).map(({ name }) => name)).toEqual(['D:'])
  expect((await list('/D:/shares')).map(({ path }) => path)).toEqual(['/D:/shares/list.txt'])
  expect((await read(id, '/D:/shares/list.txt', 65_535)).toString()).toBe('all of them')
  expect((await read(id, '/C:/deep/c', 65_535)).equals(contents.get('c')!)).toBe(true)
  for (const path of ['/', '/D:'])
    expect(await real.agent.fileInfo(id, { path_b64: encode(path) })).toMatchObject({ path, type: 'directory' })
  for (const path of ['/E:', '/E:/x', '/shares'])
    await expect(list(path)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})

it('opens a Windows machine whose registry is damaged without its letters', async () => {
  const disk = file('disk')
  const path = filesystem('broken', 'ntfs', 15, (root) => {
    mkdirSync(join(root, 'Windows/System32/config'), { recursive: true })
    writeFileSync(join(root, 'Windows/System32/config/SYSTEM'), Buffer.concat([Buffer.from('regf'), randomBytes(9000)]))
  })
  sh('/usr/bin/cp', ['--sparse=always', path, disk])
  const state = await mount([await sealedDisk(real, disk)], [], true)
  expect(state).toMatchObject({ guest: null, default_partition: 0 })
  expect((await read(state.mount_id, '/deep/broken', 0)).equals(contents.get('broken')!)).toBe(true)
})
