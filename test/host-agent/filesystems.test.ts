/** Every filesystem and partition table that the product opens, on real devices, with names that no one should have chosen. */

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import {
  copyFileSync,
  createWriteStream,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { IndexedEntry, IndexLine, MountState } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf, stored } from '../../contract/index-slices.ts'
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
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'

let real: RealAgent
let before: Census
let image: string
beforeAll(async () => {
  real = await openRealAgent()
  image = join(real.folder, 'image.raw')
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  rmSync(image, { force: true })
  expect(await leftBehind(before)).toEqual([])
})
afterAll(() => real.close())

const encode = (path: string | Buffer) => Buffer.from(path as string).toString('base64')
const mount = async (path = image): Promise<MountState> =>
  real.agent.ensureMount(randomUUID(), mountOf(await sealedDisk(real, path)))
const list = async (id: string, path: string | Buffer = '/', more: object = {}) =>
  (await real.agent.listFiles(id, { path_b64: encode(path), recursive: false, limit: 10_000, offset: 0, ...more }))
    .entries
const read = async (id: string, path: string | Buffer, partition?: number) => {
  const at = { path_b64: encode(path), ...(partition === undefined ? {} : { partition }) }
  const { size, etag } = await real.agent.fileInfo(id, at)
  return buffer(await real.agent.readFile(id, { ...at, start: 0, length: size, etag }))
}
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  )
const checksums = (folder: string) =>
  (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => lstatSync(join(folder, name)).isFile())
    .sort()
    .map(
      (name) =>
        `${name} ${lstatSync(join(folder, name)).mtimeMs} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    )

const content = randomBytes(3_000_000)
const fill = (folder: string) => {
  mkdirSync(join(folder, 'dir'))
  writeFileSync(join(folder, 'dir', 'content.bin'), content)
  writeFileSync(join(folder, 'hello.txt'), 'hello\n')
}

/** Read in a sandbox: the host's own table of mounts knows nothing of them. */
const sandboxed = new Set<string>(['ext4', 'ntfs'])

describe.each(['ext4', 'xfs', 'btrfs', 'ntfs'] as const)('%s', (kind) => {
  it('opens as a whole disk, equal to the byte, and the backup is never written', async () => {
    filesystemImage(image, kind, 64 << 20, fill)
    const disk = await sealedDisk(real, image)
    const sums = checksums(real.repositoryPath)
    const state = await real.agent.ensureMount(randomUUID(), mountOf(disk))
    expect(state).toMatchObject({
      filesystem_type: kind,
      default_partition: 0,
      partitions: [
        { number: 0, kind: 'whole_disk', filesystem: kind, label: `${kind}-label`, mounted: true, journal: 'clean' },
      ],
      device: sandboxed.has(kind) ? null : expect.stringMatching('^/dev/'),
    })
    expect((await list(state.mount_id)).map(({ path }) => path)).toEqual(expect.arrayContaining(['/dir', '/hello.txt']))
    expect((await read(state.mount_id, '/dir/content.bin')).equals(content)).toBe(true)
    const options = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.includes(`${state.mount_id}/partition-0`))
    expect(state.partitions[0]!.reader).toBe(sandboxed.has(kind) ? 'sandbox' : 'host')
    if (sandboxed.has(kind)) expect(options).toBeUndefined()
    else
      for (const option of ['ro', 'nosuid', 'nodev', 'noexec']) expect(options).toMatch(new RegExp(`\\b${option}\\b`))
    await real.agent.removeMount(state.mount_id, 'user')
    expect(checksums(real.repositoryPath)).toEqual(sums)
  })
  it('shows two points of one disk beside each other, each its own data', async () => {
    filesystemImage(image, kind, 64 << 20, (folder) => writeFileSync(join(folder, 'which'), 'first'))
    const first = await sealedDisk(real, image)
    withLoop(image, (device) => withMounted(kind, device, (folder) => writeFileSync(join(folder, 'which'), 'second')))
    const second = await sealedDisk(real, image)
    const [a, b] = [
      await real.agent.ensureMount(randomUUID(), mountOf(first)),
      await real.agent.ensureMount(randomUUID(), mountOf(second)),
    ]
    expect([(await read(a.mount_id, '/which')).toString(), (await read(b.mount_id, '/which')).toString()]).toEqual([
      'first',
      'second',
    ])
  })
})

/** A mount point's reparse data: [MS-FSCC] 2.1.2.5. */
const junctionTo = (target: string): string => {
  const [substitute, print] = [`\\??\\${target}`, target].map((text) => Buffer.from(text, 'utf16le')) as [
    Buffer,
    Buffer,
  ]
  const head = Buffer.alloc(16)
  head.writeUInt32LE(0xa0000003, 0)
  head.writeUInt16LE(8 + substitute.length + 2 + print.length + 2, 4)
  head.writeUInt16LE(substitute.length, 10)
  head.writeUInt16LE(substitute.length + 2, 12)
  head.writeUInt16LE(print.length, 14)
  const end = Buffer.alloc(2)
  return `0x${Buffer.concat([head, substitute, end, print, end]).toString('hex')}`
}
it('names the alternate data streams of NTFS, and shows its junctions and hard links', async () => {
  const setfattr = (path: string, name: string, value: string) =>
    sh('/usr/bin/setfattr', ['--name', name, '--value', value, '--', path])
  filesystemImage(image, 'ntfs', 64 << 20, (folder) => {
    mkdirSync(join(folder, 'data'))
    writeFileSync(join(folder, 'data/report.doc'), 'content')
    linkSync(join(folder, 'data/report.doc'), join(folder, 'same.doc'))
    setfattr(join(folder, 'data/report.doc'), 'user.Zone.Identifier', '[ZoneTransfer]')
    setfattr(join(folder, 'data/report.doc'), 'user.größe = \\x', 'odd')
    setfattr(join(folder, 'data'), 'user.of the folder', 'x')
    mkdirSync(join(folder, 'junction'))
    setfattr(join(folder, 'junction'), 'system.ntfs_reparse_data', junctionTo('C:\\data'))
  })
  const { mount_id } = await mount()
  const info = (path: string) => real.agent.fileInfo(mount_id, { path_b64: encode(path) })
  expect((await info('/data/report.doc')).streams.sort()).toEqual(['Zone.Identifier', 'größe = \\x'])
  expect((await info('/same.doc')).streams).toHaveLength(2)
  expect((await info('/data')).streams).toEqual(['of the folder'])
  expect((await info('/junction')).streams).toEqual([])
  expect(await info('/junction')).toMatchObject({ is_symlink: true, symlink_target: expect.stringMatching(/data$/) })
  expect((await read(mount_id, '/same.doc')).toString()).toBe('content')
})

describe.each(['ext4', 'xfs'] as const)('a dirty journal of %s', (kind) => {
  it('is replayed in a throw-away overlay, so that synced files are there, and the backup stays as it is', async () => {
    const live = join(real.folder, 'live.raw')
    blankImage(live, leastBytes[kind])
    withLoop(live, (device) => {
      makeFilesystem(kind, device)
      withMounted(kind, device, (folder) => {
        mkdirSync(join(folder, 'made'))
        writeFileSync(join(folder, 'made', 'synced'), 'in the log only')
        sh('/usr/bin/sync', [join(folder, 'made', 'synced')])
        // As a snapshot of a running VM would find it: the log written, the rest not.
        copyFileSync(live, image)
      })
    })
    rmSync(live)
    const disk = await sealedDisk(real, image)
    const sums = checksums(real.repositoryPath)
    const state = await real.agent.ensureMount(randomUUID(), mountOf(disk))
    expect(state.partitions[0]).toMatchObject({ mounted: true, journal: 'replayed' })
    expect((await read(state.mount_id, '/made/synced')).toString()).toBe('in the log only')
    await real.agent.removeMount(state.mount_id, 'user')
    expect(checksums(real.repositoryPath)).toEqual(sums)
  })
})

const table = (label: 'gpt' | 'dos', lines: string[]) => `label: ${label}\n${lines.join('\n')}\n`
const gpt = [
  'size=8MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  'size=40MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4',
  'size=60MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7',
  'size=16MiB, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F',
  'size=8MiB, type=E6D6D379-F507-44C2-A23C-238F2A3DF928',
]
const dos = ['size=40MiB, type=83', 'size=60MiB, type=7', 'size=8MiB, type=82', 'type=5', 'size=8MiB, type=83']

describe('partition tables', () => {
  it.each([['gpt', gpt, 2, 3] as const, ['dos', dos, 1, 2] as const])(
    '%s: all partitions are listed, all that can be are mounted',
    async (label, lines, ext, ntfs) => {
      blankImage(image, 160 << 20)
      sh('/usr/sbin/sfdisk', ['-q', image], table(label, [...lines]))
      withLoop(image, (device) => {
        for (const [number, kind] of [
          [ext, 'ext4'],
          [ntfs, 'ntfs'],
        ] as [number, FilesystemKind][]) {
          makeFilesystem(kind, `${device}p${number}`)
          withMounted(kind, `${device}p${number}`, (folder) => writeFileSync(join(folder, 'on'), kind))
        }
      })
      const state = await mount()
      expect(state.default_partition).toBe(ntfs)
      expect(
        state.partitions.filter(({ mounted }) => mounted).map(({ number, filesystem }) => [number, filesystem]),
      ).toEqual([
        [ext, 'ext4'],
        [ntfs, 'ntfs'],
      ])
      expect((await read(state.mount_id, '/on')).toString()).toBe('ntfs')
      expect((await read(state.mount_id, '/on', ext)).toString()).toBe('ext4')
      if (label === 'gpt')
        expect(state.partitions.map(({ number, type }) => [number, type])).toEqual([
          [1, 'efi'],
          [2, 'data'],
          [3, 'data'],
          [4, 'swap'],
          [5, 'lvm'],
        ])
      for (const { mounted, reason } of state.partitions)
        expect(mounted ? reason : typeof reason).toBe(mounted ? null : 'string')
    },
  )
  it('that lie are survived', async () => {
    for (const damage of ['size=40MiB', 'overlap', 'noise']) {
      blankImage(image, 96 << 20)
      sh('/usr/sbin/sfdisk', ['-q', image], table('dos', ['size=40MiB, type=83']))
      const data = readFileSync(image)
      if (damage === 'overlap') data.writeUInt32LE(0xfffffff0, 0x1be + 12)
      if (damage === 'noise') randomBytes(440).copy(data, 0)
      writeFileSync(image, data)
      expect(await code(mount())).toBe('NO_MOUNTABLE_FILESYSTEM')
    }
  })
  it('name what is not opened yet', async () => {
    blankImage(image, 64 << 20)
    const data = readFileSync(image)
    data.write('LABELONE', 512)
    data.write('LVM2 001', 512 + 24)
    data.writeUInt32LE(32, 512 + 20)
    data.writeBigUInt64LE(1n, 512 + 8)
    data.write('LUKS\xba\xbe', 0, 'latin1')
    data.writeUInt16BE(1, 6)
    writeFileSync(image, data)
    const failure = await mount().catch((error: { code: string; extra: { partitions: { reason: string }[] } }) => error)
    expect(failure).toMatchObject({
      code: 'NO_MOUNTABLE_FILESYSTEM',
      extra: { partitions: [{ reason: expect.stringMatching(/LUKS|LVM|no known/) }] },
    })
  })
})

describe('names and special files', () => {
  const odd = [
    Buffer.from('with space'),
    Buffer.from('"quotes\'$(x)`'),
    Buffer.from('new\nline\ttab\x1b'),
    Buffer.from('x'.repeat(255)),
    Buffer.from('emoji 💾'),
    Buffer.from('שלום'),
    Buffer.from([0x62, 0xff, 0xfe, 0x64]),
    Buffer.from('-rf'),
    Buffer.from('<img onerror=x>'),
    Buffer.from('a\\b'),
  ]
  const make = () =>
    filesystemImage(image, 'ext4', 64 << 20, (folder) => {
      for (const [at, name] of odd.entries())
        writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), name]), `content ${at}`)
      writeFileSync(join(folder, 'zero'), '')
      writeFileSync(join(folder, 'sparse'), '')
      truncateSync(join(folder, 'sparse'), 8 * 2 ** 30)
      mkdirSync(join(folder, 'etc'))
      writeFileSync(join(folder, 'etc', 'passwd'), 'guest passwd')
      mkdirSync(join(folder, 'deep'))
      for (const [name, target] of [
        ['absolute', '/etc/passwd'],
        ['relative', '../etc/passwd'],
        ['dangling', 'nowhere'],
        ['loop', 'loop'],
        ['leaving', '../../../../../../etc/passwd'],
        ['proc', '/proc/self/environ'],
        ['to-dir', '/etc'],
      ])
        symlinkSync(target!, join(folder, 'deep', name!))
      sh('/usr/bin/mkfifo', [join(folder, 'fifo')])
      sh('/usr/bin/mknod', [join(folder, 'device'), 'b', '1', '1'])
    })

  it('are listed and read by their true bytes', async () => {
    make()
    const { mount_id } = await mount()
    const entries = await list(mount_id)
    for (const [at, name] of odd.entries()) {
      const path = Buffer.concat([Buffer.from('/'), name])
      const entry = entries.find((one) =>
        (one.path_b64 === null ? Buffer.from(one.path) : Buffer.from(one.path_b64, 'base64')).equals(path),
      )
      expect(entry, name.toString()).toBeDefined()
      expect((await read(mount_id, path)).toString()).toBe(`content ${at}`)
    }
    expect(entries.find(({ path_b64 }) => path_b64 !== null)?.name).toBe('b\ufffd\ufffdd')
    expect(entries.find(({ name }) => name === 'sparse')).toMatchObject({ size: 8 * 2 ** 30 })
    expect((await read(mount_id, '/zero')).length).toBe(0)
    const tail = await buffer(
      await real.agent.readFile(mount_id, {
        path_b64: encode('/sparse'),
        start: 8 * 2 ** 30 - 10,
        length: 10,
        etag: '',
      }),
    )
    expect(tail.equals(Buffer.alloc(10))).toBe(true)
  })
  it('never lead out of the partition', async () => {
    make()
    const { mount_id } = await mount()
    const links = Object.fromEntries((await list(mount_id, '/deep')).map((entry) => [entry.name, entry]))
    expect(links).toMatchObject({
      absolute: { type: 'file', size: 12, is_symlink: true, symlink_target: '/etc/passwd' },
      dangling: { type: 'file', size: 0 },
      loop: { type: 'file' },
      leaving: { type: 'file', size: 0 },
      'to-dir': { type: 'directory' },
    })
    for (const name of ['absolute', 'relative'])
      expect((await read(mount_id, `/deep/${name}`)).toString()).toBe('guest passwd')
    for (const [path, expected] of [
      ['/deep/dangling', 'FILE_NOT_FOUND'],
      ['/deep/loop', 'FILE_NOT_FOUND'],
      ['/deep/leaving', 'PATH_FORBIDDEN'],
      ['/deep/proc', 'FILE_NOT_FOUND'],
      ['/..', 'PATH_FORBIDDEN'],
      ['/deep/../../etc', 'PATH_FORBIDDEN'],
      [`/${'a/'.repeat(1000)}`, 'FILE_NOT_FOUND'],
      [`/${'n'.repeat(300)}`, 'FILE_NOT_FOUND'],
      ['/zero/x', 'FILE_NOT_FOUND'],
      ['/fifo', 'NOT_A_REGULAR_FILE'],
      ['/device', 'NOT_A_REGULAR_FILE'],
      ['/etc', 'IS_DIRECTORY'],
    ])
      expect(
        await code(real.agent.readFile(mount_id, { path_b64: encode(path!), start: 0, length: 1, etag: '' })),
        path,
      ).toBe(expected)
    expect(
      await code(real.agent.listFiles(mount_id, { path_b64: encode('/a\0b'), recursive: false, limit: 1, offset: 0 })),
    ).toBe('PATH_INVALID')
    expect((await list(mount_id, '/deep/to-dir')).map(({ path }) => path)).toEqual(['/etc/passwd'])
  })
  it('come through archives that other programs read', async () => {
    make()
    const { mount_id } = await mount()
    const folder = join(real.folder, 'unpacked')
    for (const format of ['zip', 'tar.gz', 'tar.zst'] as const) {
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder)
      const archive = join(real.folder, `archive.${format}`)
      // The sparse file alone would be 8 GiB of zeros; the folder beside it will do.
      writeFileSync(
        archive,
        await buffer(await real.agent.readArchive(mount_id, { path_b64: encode('/deep'), format })),
      )
      if (format === 'zip') sh('/usr/bin/unzip', ['-q', archive, '-d', folder])
      else sh('/usr/bin/tar', ['xf', archive, '-C', folder])
      expect(readdirSync(folder).sort()).toEqual([
        'absolute',
        'dangling',
        'leaving',
        'loop',
        'proc',
        'relative',
        'to-dir',
      ])
      expect(lstatSync(join(folder, 'absolute')).isSymbolicLink()).toBe(true)
      rmSync(archive)
    }
    rmSync(folder, { recursive: true })
  })
})

describe('archives', () => {
  it.each(['zip', 'tar.gz', 'tar.zst'] as const)('%s of what was picked, with checksums that hold', async (format) => {
    filesystemImage(image, 'ext4', 64 << 20, (root) => {
      for (const path of ['etc/ssh', 'home/anna/mail', 'home/bob']) mkdirSync(join(root, path), { recursive: true })
      writeFileSync(join(root, 'etc/hosts'), 'hosts')
      writeFileSync(join(root, 'etc/ssh/key'), 'key')
      writeFileSync(join(root, 'home/anna/mail/new\nline'), 'mail')
      writeFileSync(join(root, 'home/anna/large'), content)
      writeFileSync(join(root, 'home/bob/file'), 'not asked for')
      symlinkSync('/home/anna', join(root, 'home/link'))
    })
    const { mount_id } = await mount()
    const archiveOf = async (...paths: string[]) =>
      buffer(
        await real.agent.readArchive(mount_id, {
          path_b64: encode('/'),
          format,
          checksums: true,
          only_b64: paths.map(encode),
        }),
      )
    const [archive, folder] = [join(real.folder, 'picked'), join(real.folder, 'unpacked')]
    writeFileSync(archive, await archiveOf('etc/hosts', 'home/anna'))
    mkdirSync(folder)
    // unzip has names of its own for those with odd characters.
    if (format === 'zip') sh('/usr/bin/env', ['python3', '-m', 'zipfile', '--extract', archive, folder])
    else sh('/usr/bin/tar', ['xf', archive, '-C', folder])
    expect((readdirSync(folder, { recursive: true }) as string[]).sort()).toEqual([
      ...['_checksums.sha256', 'etc', 'etc/hosts', 'home', 'home/anna', 'home/anna/large', 'home/anna/mail'],
      'home/anna/mail/new\nline',
    ])
    expect(readFileSync(join(folder, 'home/anna/large')).equals(content)).toBe(true)
    const checked = execFileSync('/usr/bin/sha256sum', ['--check', '_checksums.sha256'], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect(checked.match(/: OK$/gm)).toHaveLength(3)
    for (const path of ['etc/gone', 'home/link/large', '../etc', ''])
      expect(await code(archiveOf('etc/hosts', path)), path).toMatch(/^(FILE_NOT_FOUND|PATH_FORBIDDEN)$/)
    rmSync(archive)
    rmSync(folder, { recursive: true })
  })
})

/** As two programs say, at once: each reads all of it. */
const isWhole = async (zip: string) => {
  const [unzip, sevenZip] = await Promise.all([execa('/usr/bin/unzip', ['-tq', zip]), execa('/usr/bin/7z', ['t', zip])])
  expect(unzip.stdout).toContain('No errors')
  expect(sevenZip.stdout).toContain('Everything is Ok')
}

describe('many files', () => {
  it('more than 65 535 entries make a zip that unzip, 7z and Python open', async () => {
    filesystemImage(image, 'ext4', 300 << 20, (folder) => {
      const script =
        'import sys,os\nfor d in range(70):\n  p=os.path.join(sys.argv[1],"d%02d"%d); os.mkdir(p)\n  for f in range(1000): open(os.path.join(p,"f%03d"%f),"w").write(str(f))\n'
      execFileSync('/usr/bin/env', ['python3', '-c', script, folder])
    })
    const { mount_id } = await mount()
    const archive = join(real.folder, 'many.zip')
    writeFileSync(
      archive,
      await buffer(await real.agent.readArchive(mount_id, { path_b64: encode('/'), format: 'zip' })),
    )
    await isWhole(archive)
    expect(
      Number(
        sh('/usr/bin/env', [
          'python3',
          '-c',
          'import sys,zipfile;print(len(zipfile.ZipFile(sys.argv[1]).namelist()))',
          archive,
        ]).trim(),
      ),
    ).toBe(70_071)
    rmSync(archive)
    const page = await real.agent.listFiles(mount_id, {
      path_b64: encode('/d00'),
      recursive: false,
      limit: 2,
      offset: 999,
    })
    expect(page).toMatchObject({ total_count: 1000, entries: [{ name: 'f999' }] })
    expect(
      await real.agent.listFiles(mount_id, { path_b64: encode('/'), recursive: true, limit: 1, offset: 70_000 }),
    ).toMatchObject({ total_count: 70_071, truncated: false })
  })

  it.each([
    ['xfs', leastBytes.xfs, 'a disk'],
    ['xfs', leastBytes.xfs, 'a partition'],
    ['ext4', 64 << 20, 'a disk'],
  ] as const)(
    'an index of %s (%i bytes) on %s tells every entry once, as find has it, and a wide folder in parts',
    async (kind, size, where) => {
      let expected: string[] = []
      blankImage(image, size + (4 << 20))
      if (where === 'a partition')
        sh('/usr/sbin/sfdisk', ['-q', image], table('gpt', [`start=2MiB, size=${size >> 20}MiB`]))
      const inFilesystem = (work: (folder: string) => void, isNew = false) =>
        withLoop(image, (device) => {
          const own = where === 'a partition' ? `${device}p1` : device
          if (isNew) makeFilesystem(kind, own)
          withMounted(kind, own, work)
        })
      inFilesystem((folder) => {
        const script = [
          'import sys,os',
          'root=os.fsencode(sys.argv[1])',
          'wide=os.path.join(root,b"wide"); os.mkdir(wide)',
          'for f in range(12345): open(os.path.join(wide,b"f%05d"%f),"w").write("x"*(f%9))',
          'os.makedirs(os.path.join(root,b"deep/"*60))',
          'for name in (b"\\xff\\xfe",b"tab\\tand\\nline",b"\\xef\\xbf\\xbd"): open(os.path.join(root,name),"w").close()',
          'os.mkdir(os.path.join(root,b"\\xc3(")); open(os.path.join(root,b"\\xc3(/inside"),"w").write("y")',
          'os.symlink("nowhere",os.path.join(root,b"link")); os.mkfifo(os.path.join(root,b"pipe"))',
          'os.utime(os.path.join(root,b"pipe"),ns=(0,-1500000001))',
        ].join('\n')
        execFileSync('/usr/bin/env', ['python3', '-c', script, folder])
        // Times to the microsecond, before 1970 as well: the whole part is the lower one.
        const said = execFileSync('/usr/bin/find', [folder, '-mindepth', '1', '-printf', '/%P\\t%y\\t%s\\t%T@\\0'], {
          maxBuffer: 1 << 26,
        })
        expected = said.toString('latin1').split('\0').slice(0, -1)
      }, true)
      const { partitions, mount_id } = await mount()
      expect(partitions).toHaveLength(1)
      await real.agent.removeMount(mount_id, 'user')
      const machine = `ctx-${kind}`
      const walk = async (at: number, since: number | null) => {
        const asked = { ...mountOf(await sealedDisk(real, image)), walk: { vm_backup_context_id: machine, at, since } }
        const stream = await real.agent.readIndex(asked)
        const lines = (await buffer(stream)).toString('utf8').trim().split('\n')
        return lines.map((line) => JSON.parse(line) as IndexLine).flatMap((line) => ('folder' in line ? [line] : []))
      }
      const folders = await walk(1, null)
      const bytes = (said: IndexedEntry[0]) =>
        (typeof said === 'string' ? Buffer.from(said) : Buffer.from(said.b64, 'base64')).toString('latin1')
      const seen = folders.flatMap(({ folder, entries }) =>
        entries.map(([name, kind, size, modified]) => `${bytes(folder)}/${bytes(name)} ${kind} ${size} ${modified}`),
      )
      const wanted = expected.map((line) => {
        const [, path, kind, size, seconds, fraction] = /^(.*)\t(.)\t(\d+)\t(-?\d+)\.(\d{6})\d*$/s.exec(line)!
        return `${path} ${'fdl'.includes(kind!) ? kind : 'o'} ${kind === 'f' ? size : 0} ${Number(seconds) * 1e6 + Number(fraction)}`
      })
      expect(seen.toSorted()).toEqual(wanted.toSorted())
      // In several lines, each of the slices behind those of the one before it.
      const wide = folders.filter(({ folder }) => folder === '/wide')
      expect(wide.length).toBe(3)
      let slice = 0
      for (const { bits, from, to, same, entries } of wide) {
        expect([bits, from, same]).toEqual([wide[0]!.bits, slice, null])
        for (const [name] of entries) {
          const own = sliceOf(nameHash(stored(name)), bits)
          expect(own >= from && own < to).toBe(true)
        }
        slice = to
      }
      expect(slice).toBe(2 ** wide[0]!.bits)
      // What is as the walk before saw it is not told again, and as much is kept of both.
      const again = await walk(2, 1)
      expect(again.flatMap(({ entries, unnamed }) => [entries, unnamed].flat())).toEqual([])
      expect(again.reduce((sum, { same }) => sum + same!, 0)).toBe(expected.length)
      const kept = join(real.folder, 'state/walks', machine)
      const files = () => readdirSync(kept).toSorted()
      await expect.poll(() => files().length).toBe(2)
      const [before, now] = files().map((name) => readFileSync(join(kept, name)))
      expect(now!.length).toBe(before!.length)
      // Afterwards of what has changed alone, and of all of a folder that has other names.
      inFilesystem((folder) => {
        writeFileSync(join(folder, 'wide/f00007'), 'another')
        utimesSync(join(folder, 'wide/f11111'), 7, 7.25)
        writeFileSync(join(folder, 'deep/new'), '')
      })
      const told = await walk(3, 2)
      // In folders with the names that they had, by their inodes: without names.
      const names = new Map(
        folders.flatMap(({ folder, entries }) =>
          entries.map(([name]) => [`${bytes(folder)} ${prefixOf(nameHash(stored(name)))}`, name] as const),
        ),
      )
      const changed = told.flatMap(({ folder, same, entries, unnamed }) => {
        if (same === null) return []
        expect(entries).toEqual([])
        return unnamed.map(([prefix, of, size]) => [folder, names.get(`${bytes(folder)} ${prefix}`), of, size])
      })
      expect(changed.toSorted()).toEqual([
        ['', 'deep', 'd', 0],
        ['/wide', 'f00007', 'f', 7],
        ['/wide', 'f11111', 'f', 5],
      ])
      const whole = told.filter(({ same }) => same === null)
      expect(whole.map(({ folder, entries }) => [folder, entries.map(([name]) => name).toSorted()])).toEqual([
        ['/deep', ['deep', 'new']],
      ])
      expect(
        told.reduce((sum, { same, entries, unnamed }) => sum + (same ?? 0) + entries.length + unnamed.length, 0),
      ).toBe(expected.length + 1)
      // Those before the one that it was told by are forgotten; what is no fingerprint does no harm.
      await expect.poll(() => files().map((name) => name.split('-')[0])).toEqual(['2', '3'])
      const last = join(kept, files().at(-1)!)
      writeFileSync(
        last,
        readFileSync(last).map((byte, at) => (at % 7 === 0 ? byte ^ 0xff : byte)),
      )
      expect((await walk(4, 3)).length).toBe(folders.length)
    },
  )

  it('a file over 4 GiB makes a zip that unzip, 7z and Python open, in flat memory', async () => {
    const bytes = 5 * 2 ** 30
    filesystemImage(image, 'ext4', 64 << 20, (folder) => {
      mkdirSync(join(folder, 'large'))
      writeFileSync(join(folder, 'large', 'sparse'), '')
      truncateSync(join(folder, 'large', 'sparse'), bytes)
      writeFileSync(join(folder, 'large', 'after'), 'comes after it')
    })
    const { mount_id } = await mount()
    const rss = () => residentBytes(real.pid())
    const before = rss()
    let most = 0
    const sampler = setInterval(() => {
      most = Math.max(most, rss())
    }, 100)
    const archive = join(real.folder, 'large.zip')
    await pipeline(
      await real.agent.readArchive(mount_id, { path_b64: encode('/large'), format: 'zip' }),
      createWriteStream(archive),
    )
    clearInterval(sampler)
    expect(most - before).toBeLessThan(64 << 20)
    const listed = sh('/usr/bin/env', [
      'python3',
      '-c',
      'import sys,zipfile;print([(i.filename,i.file_size) for i in zipfile.ZipFile(sys.argv[1]).infolist()])',
      archive,
    ])
    expect(listed.trim()).toBe(`[('after', 14), ('sparse', ${bytes})]`)
    await isWhole(archive)
    rmSync(archive)
  })
})
