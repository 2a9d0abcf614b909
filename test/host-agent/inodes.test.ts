/** Inodes and folders that are read where they lie, against what the kernel says of the same filesystem: in every layout that installers of the last years make. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IndexedEntry, IndexedFolder } from '../../contract/agent.ts'
import { nameHash, prefixOf, sliceOf } from '../../contract/index-slices.ts'
import { toFingerprints } from '../../host-agent/files/fingerprints.ts'
import type { Walk } from '../../host-agent/files/folder-tasks.ts'
import { walkSome } from '../../host-agent/files/folder-walk.ts'
import { type InodeTable, openInodeTable } from '../../host-agent/files/inodes/inode-table.ts'
import { WalkFingerprints } from '../../host-agent/files/walk-fingerprints.ts'
import { fromFolders, noNames } from '../../host-agent/files/walked-folders.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { seeded } from '../support/damage.ts'
import { withLoop } from '../support/images.ts'

let before: Census
let folder: string
let image: string
beforeAll(async () => {
  before = await census()
  folder = mkdtempSync(join(tmpdir(), 'sendense-inodes-'))
  image = join(folder, 'image')
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  expect(await leftBehind(before)).toEqual([])
})

const fill = (root: string) => {
  for (const name of ['empty', 'some', 'wide', 'deep', 'some/within', 'some/within/it']) mkdirSync(join(root, name))
  // More than one block, and nodes of a tree.
  for (let at = 0; at < 3000; at++) writeFileSync(join(root, `wide/a longer name of a file ${at}`), 'x'.repeat(at % 7))
  for (let at = 0; at < 200; at++) rmSync(join(root, `wide/a longer name of a file ${at * 13}`))
  mkdirSync(join(root, `${'deep/'.repeat(30)}`), { recursive: true })
  writeFileSync(join(root, 'some/within/file'), '')
  writeFileSync(join(root, 'some/sparse'), '')
  // As large as ext2 with blocks of 1 KiB lets a file be.
  truncateSync(join(root, 'some/sparse'), 16 * 2 ** 30)
  symlinkSync('nowhere', join(root, 'some/link'))
  symlinkSync('n'.repeat(300), join(root, 'some/long link'))
  writeFileSync(join(root, Buffer.from('some/\xff\xfe', 'latin1').toString('latin1')), '')
  execFileSync('/usr/bin/mkfifo', [join(root, 'some/pipe')])
  execFileSync('/usr/bin/mknod', [join(root, 'some/device'), 'c', '1', '3'])
  for (const [name, seconds] of [
    ['1965', -157766400.25],
    ['1901', -2147483648],
    ['2037', 2145916799.999999],
    ['2100', 4102444800.5],
    ['2400', 13569465600],
  ] as const) {
    writeFileSync(join(root, 'some', name), name)
    utimesSync(join(root, 'some', name), seconds, seconds)
  }
}
/** Files that change, come, go and are called otherwise, and folders, too. */
const change = (root: string) => {
  writeFileSync(join(root, 'some/within/file'), 'longer')
  writeFileSync(join(root, 'wide/a new file'), 'new')
  rmSync(join(root, 'wide/a longer name of a file 1'))
  writeFileSync(join(root, 'wide/a longer name of a file 2'), 'changed')
  renameSync(join(root, 'some/1965'), join(root, 'some/1966'))
  rmSync(join(root, 'deep/deep/deep'), { recursive: true })
  renameSync(join(root, 'empty'), join(root, 'some/empty'))
  rmSync(join(root, 'some/link'))
  mkdirSync(join(root, 'some/link'))
}
/** Exact up to what a JSON number can carry: the year 2255. */
const microseconds = (nanoseconds: bigint) => {
  const floor = nanoseconds >= 0n ? nanoseconds / 1000n : (nanoseconds - 999n) / 1000n
  return Math.min(Number(floor), Number.MAX_SAFE_INTEGER)
}
const lookThrough = (root: string, at: string, table: InodeTable, isTold: (path: string) => boolean): number => {
  const path = join(root, at)
  const own = Number(lstatSync(path, { bigint: true }).ino)
  const names = readdirSync(path, { encoding: 'buffer' })
  const inFolder = isTold(at) ? table.folder?.(own) : undefined
  if (table.folder && isTold(at)) {
    const said = Array.from(inFolder!, ({ start, end }) => inFolder!.bytes.toString('latin1', start, end))
    expect(said.toSorted(), at).toEqual(names.map((name) => name.toString('latin1')).toSorted())
  }
  const inodes = new Map(
    Array.from(inFolder ?? [], ({ inode, start, end }) => [inFolder!.bytes.toString('latin1', start, end), inode]),
  )
  let count = 0
  for (const name of names) {
    const stat = lstatSync(Buffer.concat([Buffer.from(`${path}/`), name]), { bigint: true })
    const kind = stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : 'o'
    expect(table.inode(Number(stat.ino)), `${at}/${name}`).toEqual({
      kind,
      size: stat.isFile() ? Number(stat.size) : 0,
      modified: microseconds(stat.mtimeNs),
    })
    if (inFolder) expect(inodes.get(name.toString('latin1'))).toBe(Number(stat.ino))
    count++
    if (stat.isDirectory()) count += lookThrough(root, `${at}/${name}`, table, isTold)
  }
  return count
}

const typesOf = (stat: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }) =>
  stat.isFile() ? 'f' : stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : 'o'
/** Every entry below a folder, as the mount has it. */
const lookedAt = (root: string, at: string): string[] =>
  readdirSync(join(root, at)).flatMap((name) => {
    const path = `${at}/${name}`
    const stat = lstatSync(join(root, path), { bigint: true })
    const own = `${path} ${typesOf(stat)} ${stat.isFile() ? stat.size : 0} ${microseconds(stat.mtimeNs)}`
    return stat.isDirectory() ? [own, ...lookedAt(root, path)] : [own]
  })
/** The same, as an index tells it: first all of it, then what has changed. */
const known = (first: readonly IndexedFolder[], next?: readonly IndexedFolder[]): string[] => {
  const entries = new Map<string, IndexedEntry>()
  for (const { folder, entries: own } of first)
    for (const entry of own) entries.set(`${folder as string}/${entry[0] as string}`, entry)
  const isIn = ({ folder, bits, from, to }: IndexedFolder, path: string) => {
    const slice = sliceOf(nameHash(path.slice(path.lastIndexOf('/') + 1)), bits)
    return path.slice(0, path.lastIndexOf('/')) === folder && slice >= from && slice < to
  }
  for (const line of next ?? []) {
    const paths = [...entries.keys()].filter((path) => isIn(line, path))
    if (line.same === null) for (const path of paths) entries.delete(path)
    else expect(paths.length).toBe(line.same + line.entries.length + line.unnamed.length)
    for (const entry of line.entries) entries.set(`${line.folder as string}/${entry[0] as string}`, entry)
    for (const [prefix, ...rest] of line.unnamed) {
      const path = paths.find((one) => prefixOf(nameHash(one.slice(one.lastIndexOf('/') + 1))) === prefix)!
      entries.set(path, [path.slice(path.lastIndexOf('/') + 1), ...rest])
    }
  }
  const folders = new Set((next ?? first).map(({ folder }) => folder))
  return [...entries]
    .filter(([path]) => folders.has(path.slice(0, path.lastIndexOf('/'))))
    .map(([path, [, ...rest]]) => `${path} ${rest.join(' ')}`)
}
/** @param since fingerprints of an earlier walk */
const walkOf = (root: string, device: string, filesystem: string, since = Buffer.alloc(0)) => {
  const [fd, image] = [openSync(root, 'r'), { fd: openSync(device, 'r'), offsetBytes: 0, filesystem }]
  const told: IndexedFolder[] = []
  const known = toFingerprints(since)
  const walked = new WalkFingerprints(known)
  const waiting: Walk[] = [{ folders: fromFolders([{ path: Buffer.alloc(0), inode: 0 }]), ...noNames() }]
  try {
    for (let walk = waiting.pop(); walk; walk = waiting.pop()) {
      const { lines, kept, prints, ...left } = walkSome({ fd, image, known, ...walk })
      walked.add({ kept, prints })
      if (left.folders.length > 0) waiting.push(left)
      for (const line of Buffer.from(lines).toString().split('\n'))
        if (line !== '') told.push(JSON.parse(line) as IndexedFolder)
    }
  } finally {
    closeSync(fd)
    closeSync(image.fd)
  }
  return { lines: told, fingerprints: Buffer.concat([...walked.chunks()]) }
}

type Layout = [name: string, filesystem: 'ext2' | 'ext3' | 'ext4' | 'xfs', bytes: number, mkfs: string[]]
const ext = (name: string, filesystem: 'ext2' | 'ext3' | 'ext4', ...options: string[]): Layout => [
  name,
  filesystem,
  96 * 2 ** 20,
  [`/usr/sbin/mkfs.${filesystem}`, '-q', '-F', ...options],
]
const xfs = (name: string, ...options: string[]): Layout => [
  name,
  'xfs',
  options.includes('agcount=16') ? 2 ** 31 : 320 * 2 ** 20,
  ['/usr/sbin/mkfs.xfs', '-q', '-f', ...options],
]
const layouts: Layout[] = [
  ext('as it is made today', 'ext4'),
  ext('of Ubuntu 16.04', 'ext4', '-O', '^metadata_csum,^64bit,^orphan_file', '-I', '256'),
  ext('with small inodes', 'ext4', '-I', '128'),
  ext('with large inodes and blocks of 1 KiB', 'ext4', '-I', '1024', '-b', '1024'),
  ext('with blocks of 2 KiB', 'ext4', '-b', '2048'),
  ext('with clusters', 'ext4', '-O', 'bigalloc', '-C', '16384'),
  ext('with what is small within inodes', 'ext4', '-O', 'inline_data'),
  ext('without groups together', 'ext4', '-O', '^flex_bg,^uninit_bg'),
  ext('without types of names', 'ext4', '-O', '^filetype'),
  ext('with lists of blocks', 'ext3'),
  ext('with lists of blocks, of 1 KiB', 'ext2', '-b', '1024'),
  xfs('as it is made today'),
  xfs('of RHEL 7', '-m', 'crc=1,finobt=0,reflink=0,rmapbt=0,bigtime=0', '-i', 'sparse=0,nrext64=0'),
  xfs('of RHEL 8', '-m', 'reflink=1,bigtime=0', '-i', 'sparse=1,nrext64=0'),
  xfs('with large inodes', '-i', 'size=2048'),
  xfs('with blocks of 1 KiB', '-b', 'size=1024', '-n', 'size=4096'),
  xfs('with many groups', '-d', 'agcount=16'),
]
it.each(layouts)('%s: %s is read as the kernel reads it', (_, filesystem, bytes, [mkfs, ...options]) => {
  rmSync(image, { force: true })
  writeFileSync(image, '')
  truncateSync(image, bytes)
  execFileSync(mkfs!, [...options, image])
  const mounted = join(folder, 'mounted')
  mkdirSync(mounted, { recursive: true })
  const hasMarks = !options.includes('128') && !options.includes('inline_data')
  let told: ReturnType<typeof walkOf> | undefined
  withLoop(image, (device) => {
    execFileSync('/usr/bin/mount', ['-t', filesystem, device, mounted])
    try {
      fill(mounted)
    } finally {
      execFileSync('/usr/bin/umount', [mounted])
    }
    execFileSync('/usr/bin/mount', ['-t', filesystem, '-o', 'ro', device, mounted])
    const fd = openSync(device, 'r')
    const table = openInodeTable({ fd, offsetBytes: 0, filesystem })!
    try {
      // What lies within an inode is left to the mount. Those of ext have lost+found.
      const isTold = (path: string) => !options.includes('inline_data') || path === '/wide'
      expect(lookThrough(mounted, '', table, isTold)).toBe(2847 + (filesystem === 'xfs' ? 0 : 1))
      expect(table.inode(2 ** 31), 'no inode').toBeUndefined()
      told = walkOf(mounted, device, filesystem)
      expect(known(told.lines).toSorted()).toEqual(lookedAt(mounted, '').toSorted())
      const again = walkOf(mounted, device, filesystem, told.fingerprints)
      expect(again.lines.flatMap(({ entries, unnamed }) => [entries, unnamed].flat())).toEqual([])
      expect(known(told.lines, again.lines).toSorted()).toEqual(lookedAt(mounted, '').toSorted())
    } finally {
      table.close()
      closeSync(fd)
      execFileSync('/usr/bin/umount', [mounted])
    }
    execFileSync('/usr/bin/mount', ['-t', filesystem, device, mounted])
    try {
      change(mounted)
    } finally {
      execFileSync('/usr/bin/umount', [mounted])
    }
    execFileSync('/usr/bin/mount', ['-t', filesystem, '-o', 'ro', device, mounted])
    try {
      const next = walkOf(mounted, device, filesystem, told!.fingerprints)
      expect(known(told!.lines, next.lines).toSorted()).toEqual(lookedAt(mounted, '').toSorted())
      // Where inodes say to the nanosecond when a folder was changed, names that stay are not read.
      const unread = next.lines.filter(({ unnamed }) => unnamed.length > 0).map(({ folder }) => folder)
      const later = walkOf(mounted, device, filesystem, next.fingerprints)
      expect(later.lines.flatMap(({ entries, unnamed }) => [entries, unnamed].flat())).toEqual([])
      expect(unread.toSorted()).toEqual(hasMarks ? ['/deep', '/some/within'] : [])
    } finally {
      execFileSync('/usr/bin/umount', [mounted])
    }
  })
})

it('many folders of very many names are each told once, in parts', () => {
  rmSync(image, { force: true })
  writeFileSync(image, '')
  truncateSync(image, 320 * 2 ** 20)
  execFileSync('/usr/sbin/mkfs.xfs', ['-q', '-f', image])
  const mounted = join(folder, 'mounted')
  mkdirSync(mounted, { recursive: true })
  const [folders, files] = [12, 5200]
  withLoop(image, (device) => {
    execFileSync('/usr/bin/mount', ['-t', 'xfs', device, mounted])
    try {
      for (let at = 0; at < folders; at++) {
        mkdirSync(join(mounted, `wide ${at}`))
        for (let file = 0; file < files; file++) writeFileSync(join(mounted, `wide ${at}/${file}`), '')
      }
      execFileSync('/usr/bin/sync', ['-f', mounted])
      const { lines, fingerprints } = walkOf(mounted, device, 'xfs')
      expect(lines.length).toBe(1 + 2 * folders)
      const paths = lines.flatMap(({ folder, entries }) =>
        entries.map(([name]) => `${folder as string}/${name as string}`),
      )
      expect(new Set(paths).size).toBe(folders * (files + 1))
      expect(paths.length).toBe(folders * (files + 1))
      const { lines: again } = walkOf(mounted, device, 'xfs', fingerprints)
      expect(again.flatMap(({ entries }) => entries)).toEqual([])
      expect(again.reduce((sum, { same }) => sum + same!, 0)).toBe(paths.length)
    } finally {
      execFileSync('/usr/bin/umount', [mounted])
    }
  })
})

it('what is damaged or made to do harm is undefined or an error, and ends', () => {
  const random = seeded(20261129)
  for (const [, filesystem, bytes, [mkfs, ...options]] of [layouts[0]!, layouts[9]!, layouts[11]!]) {
    rmSync(image, { force: true })
    writeFileSync(image, '')
    truncateSync(image, bytes)
    const source = join(folder, 'source')
    mkdirSync(join(source, 'wide'), { recursive: true })
    for (let at = 0; at < 500; at++) writeFileSync(join(source, `wide/a longer name of a file ${at}`), '')
    if (filesystem === 'xfs') execFileSync(mkfs!, [...options, image])
    else execFileSync(mkfs!, [...options, '-d', source, image])
    const whole = readFileSync(image)
    const file = openSync(image, 'r+')
    // Where there is something: superblocks, descriptions of groups, inodes, folders.
    const places: number[] = []
    const nothing = Buffer.alloc(512)
    for (let at = 0; at < whole.length; at += 512)
      if (whole.compare(nothing, 0, 512, at, at + 512) !== 0) places.push(at)
    try {
      for (let turn = 0; turn < 150; turn++) {
        const changed = Array.from({ length: 8 }, () => {
          const at = (turn % 3 === 0 ? 1024 * random(2) : places[random(places.length)]!) + random(512)
          writeSync(file, Buffer.from([[0, 0xff, random(256)][random(3)]!]), 0, 1, at)
          return at
        })
        const table = openInodeTable({ fd: file, offsetBytes: 0, filesystem })
        for (const number of [1, 2, 11, 12, 13, 128, 131, random(100_000), 2 ** 40])
          for (const look of [() => table?.inode(number), () => table?.folder?.(number), () => table?.mark(number)])
            try {
              look()
            } catch (error) {
              expect(error).toBeInstanceOf(Error)
            }
        table?.close()
        for (const at of changed) writeSync(file, whole, at, 1, at)
      }
    } finally {
      closeSync(file)
      rmSync(source, { recursive: true })
    }
  }
})

it('a tree of extents that leads to itself ends', () => {
  rmSync(image, { force: true })
  writeFileSync(image, '')
  truncateSync(image, 16 * 2 ** 20)
  execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-F', '-b', '1024', image])
  const say = (request: string) =>
    execFileSync('/usr/sbin/debugfs', ['-w', '-R', request, image], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()
  // The root folder's extents: a node of depth 5 in block 8000, whose entries all lead to block 8000 of a smaller depth.
  const [, block] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(say('imap <2>'))!
  const [, , offset] = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(say('imap <2>'))!
  const file = openSync(image, 'r+')
  const node = (depth: number, entries: number) => {
    const bytes = Buffer.alloc(12 + 12 * entries)
    bytes.writeUInt16LE(0xf30a, 0)
    bytes.writeUInt16LE(entries, 2)
    bytes.writeUInt16LE(entries, 4)
    bytes.writeUInt16LE(depth, 6)
    for (let at = 0; at < entries; at++) bytes.writeUInt32LE(8000, 12 + 12 * at + 4)
    return bytes
  }
  try {
    writeSync(file, node(4, 84), 0, 12 + 12 * 84, 8000 * 1024)
    const inode = Number(block) * 1024 + Number(offset)
    writeSync(file, node(5, 4), 0, 60, inode + 40)
    const table = openInodeTable({ fd: file, offsetBytes: 0, filesystem: 'ext4' })!
    expect(() => table.folder!(2)).toThrow()
    table.close()
  } finally {
    closeSync(file)
  }
})
