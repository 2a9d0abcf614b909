/** The matrix: what guests' disks look like that installers and admins of the last ten years have made. */
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bitLocked, windowsVolumes, windowsVolumesFolder } from '../support/bitlocker.ts'
import { sh, withLoop } from '../support/images.ts'
import { makeRaid } from '../support/raid.ts'
import { makeThin } from '../support/thin.ts'
import { plant, type TreeOptions, treeOn } from '../support/tree.ts'
import { encrypted, encryptInPlace, VolumeGroup, withLoops } from '../support/volumes.ts'
import {
  type Filesystem,
  type Machine,
  type Maker,
  mebibyte,
  megabytesOf,
  type Volume,
  type Workshop,
} from './workshop.ts'

export type Case = {
  name: string
  /** Filesystems that the kernel must know, so that it can be made or opened. */
  needs: string[]
  make: (shop: Workshop) => Machine
}

const unix: TreeOptions = { links: true, nameMax: 255, isDos: false }
/** Read by a machine, whose processor is emulated in most places where tests run: fewer files. */
const dos: TreeOptions = { links: false, nameMax: 200, isDos: true, many: 10 }
const windows: TreeOptions = { links: true, nameMax: 255, isDos: false }

const ext = (version: 2 | 3 | 4, args: string[] = [], megabytes = 48): Maker => ({
  type: `ext${version}`,
  tool: `mkfs.ext${version}`,
  args: ['-q', '-F', ...args],
  megabytes,
  holds: unix,
})
const xfs = (args: string[] = [], megabytes = 320): Maker => ({
  type: 'xfs',
  tool: 'mkfs.xfs',
  args: ['-q', '-f', ...args],
  megabytes,
  holds: unix,
})
const btrfs = (args: string[] = [], megabytes = 130): Maker => ({
  type: 'btrfs',
  tool: 'mkfs.btrfs',
  args: ['-q', '-f', ...args],
  megabytes,
  holds: unix,
})
const ntfs = (args: string[] = [], megabytes = 48): Maker => ({
  type: 'ntfs-3g',
  tool: 'mkfs.ntfs',
  args: ['-q', '-F', '-Q', ...args],
  megabytes,
  holds: windows,
})
const fat = (bits: 12 | 16 | 32, megabytes: number): Maker => ({
  type: 'mtools',
  tool: 'mkfs.vfat',
  args: ['-F', String(bits)],
  megabytes,
  holds: dos,
})
const exfat: Maker = { type: 'exfat-fuse', tool: 'mkfs.exfat', args: [], megabytes: 64, holds: dos }

const isWhole = ({ kind }: { kind: string }) => kind === 'whole_disk'
const isNumber =
  (wanted: number) =>
  ({ number, kind }: { number: number; kind: string }) =>
    kind === 'partition' && number === wanted
const isNamed =
  (wanted: string) =>
  ({ name }: { name: string }) =>
    name === wanted
const isRaid = ({ kind }: { kind: string }) => kind === 'raid'
const isDecrypted = ({ kind, mounted }: { kind: string; mounted: boolean }) => kind === 'decrypted' && mounted

const plain = (name: string, maker: Maker, more?: (root: string) => void): Case => ({
  name,
  needs: [maker.type],
  make: (shop) => {
    const { image, tree } = shop.filesystem(maker, more)
    return { disks: [image], volumes: [{ is: isWhole, tree }] }
  },
})
/** Of a kind that not every kernel mounts: filled by its own tool. */
const filled = (name: string, args: string[]): Case => ({
  name,
  needs: [],
  make: (shop) => {
    const { folder, tree } = shop.folder((root) => plant(root, unix))
    const image = shop.blank(48)
    sh('/usr/sbin/mkfs.ext4', ['-q', '-F', ...args, '-d', folder, image])
    return { disks: [image], volumes: [{ is: isWhole, tree }] }
  },
})
const dirty = (name: string, maker: Maker): Case => ({
  name,
  needs: [maker.type],
  make: (shop) => {
    const { image, tree } = shop.pulledPlug(maker)
    return { disks: [image], volumes: [{ is: isWhole, tree }] }
  },
})

/** As debian-installer, anaconda, YaST and their users have made them. */
const filesystems: Case[] = [
  plain('ext2', ext(2)),
  plain('ext2 of 1 KiB blocks and inodes of 128 bytes', ext(2, ['-b', '1024', '-I', '128'])),
  plain('ext3', ext(3)),
  plain('ext3 without an index of folders', ext(3, ['-O', '^dir_index'])),
  plain('ext4', ext(4)),
  plain('ext4 of Debian 8 and RHEL 7', ext(4, ['-O', '^metadata_csum,^64bit,^orphan_file,^metadata_csum_seed'])),
  plain('ext4 of 1 KiB blocks', ext(4, ['-b', '1024'])),
  plain('ext4 of 2 KiB blocks', ext(4, ['-b', '2048'])),
  plain('ext4 with inodes of 128 bytes', ext(4, ['-I', '128'])),
  plain('ext4 with inodes of 1024 bytes', ext(4, ['-I', '1024'])),
  plain('ext4 that keeps small files in inodes', ext(4, ['-O', 'inline_data'])),
  plain('ext4 of clusters', ext(4, ['-O', 'bigalloc', '-C', '65536'], 96)),
  plain('ext4 without extents', ext(4, ['-O', '^extent,^64bit'])),
  plain('ext4 with block groups at their beginning', ext(4, ['-O', 'meta_bg,^resize_inode'])),
  plain('ext4 without a journal', ext(4, ['-O', '^has_journal'])),
  filled('ext4 with quotas and projects', ['-O', 'quota,project']),
  filled('ext4 with folders that know no capital letters', ['-O', 'casefold', '-E', 'encoding=utf8']),
  plain('ext4 with sparse superblocks of 2', ext(4, ['-O', 'sparse_super2'])),
  plain('ext4 with large xattrs', ext(4, ['-O', 'ea_inode'])),
  plain('XFS', xfs()),
  plain('XFS of RHEL 8', xfs(['-m', 'reflink=1,bigtime=0,inobtcount=0'])),
  plain('XFS without shared extents', xfs(['-m', 'reflink=0'])),
  plain('XFS with a map of owners', xfs(['-m', 'rmapbt=1'])),
  plain('XFS of 1 KiB blocks', xfs(['-b', 'size=1024'])),
  plain('XFS with folders of 64 KiB blocks', xfs(['-n', 'size=65536'])),
  plain('XFS with sectors of 4 KiB', xfs(['-s', 'size=4096'])),
  plain('XFS with inodes of 2 KiB', xfs(['-i', 'size=2048'])),
  plain('btrfs', btrfs()),
  plain('btrfs of data and metadata together', btrfs(['--mixed'])),
  plain('btrfs with all twice', btrfs(['-d', 'dup', '-m', 'dup'], 300)),
  plain('btrfs of xxhash sums', btrfs(['--csum', 'xxhash'])),
  plain('btrfs of openSUSE, with subvolumes and a snapshot', btrfs(), (root) => {
    for (const name of ['@', '@/var', '@/home', '@/.snapshots'])
      sh('/usr/bin/btrfs', ['subvolume', 'create', join(root, name)])
    writeFileSync(join(root, '@/var/file'), randomBytes(10_000))
    sh('/usr/bin/btrfs', ['subvolume', 'snapshot', '-r', join(root, '@/var'), join(root, '@/.snapshots/1')])
    writeFileSync(join(root, '@/var/file'), randomBytes(10_000))
  }),
  ...(['zlib', 'lzo', 'zstd'] as const).map((algorithm) =>
    plain(`btrfs compressed by ${algorithm}`, btrfs(), (root) => {
      mkdirSync(join(root, 'packed'))
      sh('/usr/bin/btrfs', ['property', 'set', join(root, 'packed'), 'compression', algorithm])
      writeFileSync(join(root, 'packed/text'), 'again and again '.repeat(50_000))
      writeFileSync(join(root, 'packed/noise'), randomBytes(100_000))
    }),
  ),
  plain('NTFS', ntfs()),
  plain('NTFS of 512 byte clusters', ntfs(['-c', '512'])),
  plain('NTFS of 64 KiB clusters', ntfs(['-c', '65536'], 64)),
  plain('NTFS, compressed', ntfs(['-C'])),
  plain('NTFS of sectors of 4 KiB', ntfs(['-s', '4096'])),
  plain('FAT of 12 bits', fat(12, 15)),
  plain('FAT of 16 bits', fat(16, 64)),
  plain('FAT of 32 bits', fat(32, 64)),
  plain('exFAT', exfat),
  dirty('ext3 whose plug was pulled', ext(3)),
  dirty('ext4 whose plug was pulled', ext(4)),
  dirty('XFS whose plug was pulled', xfs()),
  dirty('btrfs whose plug was pulled', btrfs()),
]

/** Several filesystems on one disk, by a table. @param places megabytes from the disk's beginning, by the partition's number */
const tabled = (name: string, table: string, parts: [number: number, offset: number, maker: Maker][]): Case => ({
  name,
  needs: parts.map(([, , { type }]) => type),
  make: (shop) => {
    const end = Math.max(...parts.map(([, offset, { megabytes }]) => offset + megabytes))
    const disk = shop.partitioned(end + 4, table)
    const volumes = parts.map(([number, offset, maker]): Volume => {
      const { image, tree } = shop.filesystem(maker)
      shop.pour(image, disk, offset * mebibyte)
      return { is: isNumber(number), tree }
    })
    return { disks: [disk], volumes }
  },
})
const tables: Case[] = [
  tabled(
    'GPT as Debian makes it',
    'label: gpt\nstart=1MiB,size=33MiB,type=uefi\nstart=64MiB,size=48MiB\nstart=113MiB,size=1MiB,type=swap\n',
    [[2, 64, ext(4)]],
  ),
  tabled(
    'GPT as Windows makes it: EFI, reserved, system, recovery',
    [
      'label: gpt',
      'start=1MiB,size=100MiB,type=uefi',
      'start=101MiB,size=16MiB,type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE',
      'start=117MiB,size=64MiB,type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7',
      'start=181MiB,size=48MiB,type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC',
      '',
    ].join('\n'),
    [
      [3, 117, ntfs([], 64)],
      [4, 181, ntfs()],
    ],
  ),
  tabled(
    'GPT with an EFI system partition of FAT',
    'label: gpt\nstart=1MiB,size=64MiB,type=uefi\nstart=65MiB,size=48MiB\n',
    [
      [1, 1, fat(32, 64)],
      [2, 65, ext(4)],
    ],
  ),
  tabled(
    'GPT whose partitions are not in order',
    'label: gpt\n3 : start=1MiB,size=48MiB\n1 : start=50MiB,size=48MiB\n',
    [
      [3, 1, ext(4)],
      [1, 50, ext(3)],
    ],
  ),
  tabled('MBR with one partition', 'label: dos\nstart=1MiB,size=48MiB,type=83,bootable\n', [[1, 1, ext(4)]]),
  tabled(
    'MBR with logical partitions',
    'label: dos\nstart=1MiB,size=48MiB,type=83\nstart=50MiB,type=5\nstart=51MiB,size=48MiB,type=83\nstart=101MiB,size=48MiB,type=7\n',
    [
      [1, 1, ext(4)],
      [5, 51, ext(2)],
      [6, 101, ntfs()],
    ],
  ),
  tabled('MBR whose partition begins at sector 63, as Windows XP made it', 'label: dos\nstart=63,size=98304,type=7\n', [
    [1, 63 / 2048, ntfs()],
  ]),
]

tables.push({
  name: 'GPT of a disk with sectors of 4 KiB',
  needs: ['ext4', 'xfs'],
  make: (shop) => {
    const [disk, root, data] = [shop.blank(400), shop.filesystem(ext(4)), shop.filesystem(xfs(['-s', 'size=4096']))]
    const table =
      'label: gpt\nstart=256,size=4096,type=uefi,name="EFI system"\nstart=4352,size=12288,name=root\nstart=16640\n'
    withLoop(disk, (device) => sh('/usr/sbin/sfdisk', ['--quiet', '--no-tell-kernel', device], table), [
      '--sector-size',
      '4096',
    ])
    shop.pour(root.image, disk, 4352 * 4096)
    shop.pour(data.image, disk, 16640 * 4096)
    return {
      disks: [disk],
      volumes: [
        { is: isNumber(2), tree: root.tree },
        { is: isNumber(3), tree: data.tree },
      ],
    }
  },
})

tables.push({
  name: 'MBR on a disk that had a GPT of 4 KiB sectors before',
  needs: ['ext4'],
  make: (shop) => {
    const [disk, made] = [shop.blank(80), shop.filesystem(ext(4))]
    withLoop(disk, (device) => sh('/usr/sbin/sfdisk', ['--quiet', '--no-tell-kernel', device], 'label: gpt\n,,\n'), [
      '--sector-size',
      '4096',
    ])
    sh(
      '/usr/sbin/sfdisk',
      ['--quiet', '--no-tell-kernel', '--wipe', 'never', disk],
      'label: dos\nstart=1MiB,size=48MiB,type=83\n',
    )
    shop.pour(made.image, disk, mebibyte)
    return { disks: [disk], volumes: [{ is: isNumber(1), tree: made.tree }] }
  },
})

/** A volume group whose volumes are filesystems. @param grow extents that come later, so that a volume lies in two pieces */
const grouped = (
  devices: string[],
  group: string,
  parts: [volume: string, made: Filesystem, more?: string[]][],
  isTorn = false,
): Volume[] => {
  const volumes = new VolumeGroup(group, devices)
  const extentsOf = (image: string) => Math.ceil(megabytesOf(image) / 4)
  for (const [volume, { image }, more = []] of parts)
    volumes.add(volume, isTorn ? Math.floor(extentsOf(image) / 2) : extentsOf(image), more)
  if (isTorn)
    for (const [volume, { image }, more = []] of parts)
      volumes.extend(volume, extentsOf(image) - Math.floor(extentsOf(image) / 2), more)
  for (const [volume, { image }] of parts) volumes.pour(volume, image)
  return parts.map(([volume, { tree }]) => ({ is: isNamed(`${group}/${volume}`), tree }))
}
const layered: Case[] = [
  {
    name: 'LVM of RHEL: /boot on XFS, root and home in a group',
    needs: ['xfs', 'ext4'],
    make: (shop) => {
      const [boot, root, home] = [shop.filesystem(xfs()), shop.filesystem(xfs()), shop.filesystem(ext(4))]
      const disk = shop.partitioned(740, 'label: gpt\nstart=1MiB,size=320MiB\nstart=322MiB,type=lvm\n')
      shop.pour(boot.image, disk, mebibyte)
      const volumes = withLoop(disk, (device) =>
        grouped([`${device}p2`], 'rhel', [
          ['root', root],
          ['home', home],
        ]),
      )
      return { disks: [disk], volumes: [{ is: isNumber(1), tree: boot.tree }, ...volumes] }
    },
  },
  {
    name: 'LVM on a whole disk',
    needs: ['ext4'],
    make: (shop) => {
      const [disk, made] = [shop.blank(70), shop.filesystem(ext(4))]
      return { disks: [disk], volumes: withLoop(disk, (device) => grouped([device], 'whole', [['data', made]])) }
    },
  },
  {
    name: 'LVM whose volumes grew into pieces',
    needs: ['ext4', 'ntfs-3g'],
    make: (shop) => {
      const [disk, one, two] = [shop.blank(130), shop.filesystem(ext(4)), shop.filesystem(ntfs())]
      const parts: [string, Filesystem][] = [
        ['one', one],
        ['two-halves', two],
      ]
      return { disks: [disk], volumes: withLoop(disk, (device) => grouped([device], 'grown', parts, true)) }
    },
  },
  {
    name: 'LVM over three disks',
    needs: ['ext4'],
    make: (shop) => {
      const [disks, made] = [[shop.blank(40), shop.blank(40), shop.blank(40)], shop.filesystem(ext(4, [], 96))]
      return { disks, volumes: withLoops(disks, (devices) => grouped(devices, 'three', [['data', made]])) }
    },
  },
  ...([2, 3] as const).map(
    (stripes): Case => ({
      name: `LVM in ${stripes} stripes`,
      needs: ['ext4'],
      make: (shop) => {
        const [disks, made] = [Array.from({ length: stripes }, () => shop.blank(64)), shop.filesystem(ext(4))]
        const more = ['--stripes', String(stripes), '--stripesize', '64k']
        return {
          disks,
          volumes: withLoops(disks, (devices) => grouped(devices, 'striped', [['data', made, more]])),
        }
      },
    }),
  ),
  {
    name: 'two volume groups on two disks',
    needs: ['ext4', 'ext3'],
    make: (shop) => {
      const [disks, one, two] = [[shop.blank(70), shop.blank(70)], shop.filesystem(ext(4)), shop.filesystem(ext(3))]
      const volumes = withLoops(disks, ([first, second]) => [
        ...grouped([first!], 'system', [['root', one]]),
        ...grouped([second!], 'data', [['root', two]]),
      ])
      return { disks, volumes }
    },
  },
  ...(
    [
      ['RAID 0', 0, 2, '1.2'],
      ['RAID 1', 1, 2, '1.2'],
      ['RAID 1 with its superblock at the end', 1, 2, '1.0'],
      ['RAID 5', 5, 3, '1.2'],
      ['RAID 10', 10, 4, '1.2'],
      ['linear RAID', 'linear', 2, '1.2'],
    ] as const
  ).map(
    ([name, level, count, metadata]): Case => ({
      name,
      needs: ['ext4'],
      make: (shop) => {
        const { image, tree } = shop.filesystem(ext(4))
        const disks = Array.from({ length: count }, () => shop.blank(52))
        makeRaid({ level, chunkBytes: 64 * 1024, metadata, name: 'data' }, disks, image)
        return { disks, volumes: [{ is: isRaid, tree }] }
      },
    }),
  ),
  {
    name: 'LVM on RAID 1, as the installers of Debian and RHEL make it',
    needs: ['ext4', 'xfs'],
    make: (shop) => {
      const [array, root, home] = [shop.blank(400), shop.filesystem(ext(4)), shop.filesystem(xfs())]
      const volumes = withLoop(array, (device) =>
        grouped([device], 'vg0', [
          ['root', root],
          ['home', home],
        ]),
      )
      const disks = [shop.blank(404), shop.blank(404)]
      makeRaid({ level: 1, chunkBytes: mebibyte, metadata: '1.2', name: 'md0' }, disks, array)
      return { disks, volumes }
    },
  },
  {
    name: 'a thin pool with a volume and its snapshot',
    needs: ['ext4'],
    make: (shop) => {
      const [disk, now, then] = [shop.blank(160), shop.filesystem(ext(4)), shop.path()]
      copyFileSync(now.image, then)
      const old = now.tree
      const tree = withLoop(now.image, (device) =>
        shop.mounted('ext4', device, 'rw', (root) => {
          writeFileSync(join(root, 'since the snapshot'), randomBytes(1_000_000))
          rmSync(join(root, 'many'), { recursive: true })
          return treeOn(root)
        }),
      )
      const images = new Map([
        ['data', now.image],
        ['snap', then],
      ])
      withLoop(disk, (device) => makeThin(new VolumeGroup('thin', [device]), 'pool', images))
      return {
        disks: [disk],
        volumes: [
          { is: isNamed('thin/data'), tree },
          { is: isNamed('thin/snap'), tree: old },
        ],
      }
    },
  },
  ...(
    [
      ['LUKS 1', ext(4), ['--type', 'luks1']],
      ['LUKS 2', ext(4), ['--type', 'luks2', '--sector-size', '512']],
      ['LUKS 2 of AES-128', ext(4), ['--type', 'luks2', '--sector-size', '512', '--key-size', '256']],
      ['LUKS 2 of NTFS', ntfs(), ['--type', 'luks2', '--sector-size', '512']],
    ] as const
  ).map(
    ([name, maker, more]): Case => ({
      name,
      needs: [maker.type],
      make: (shop) => {
        const [disk, { image, tree }] = [shop.path(), shop.filesystem(maker)]
        encrypted(disk, image, 'open sesame', [...more])
        return { disks: [disk], volumes: [{ is: isDecrypted, tree }], secrets: ['open sesame'] }
      },
    }),
  ),
  ...(
    [
      ['BitLocker of AES-XTS, by its password', 'aes-xts-128', 'password'],
      ['BitLocker of AES-CBC, by its recovery key', 'aes-cbc-256', 'recoveryKey'],
    ] as const
  ).map(
    ([name, metadata, by]): Case => ({
      name,
      needs: ['ntfs-3g'],
      make: (shop) => {
        const table =
          'label: gpt\nstart=1MiB,size=16MiB,type=uefi\nstart=17MiB,size=16MiB,type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\nstart=33MiB,size=100MiB,type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n'
        const [disk, image] = [shop.partitioned(137, table), shop.path()]
        const { image: plain, tree } = shop.filesystem(ntfs([], 100))
        bitLocked(image, plain, windowsVolumesFolder(), metadata)
        shop.pour(image, disk, 33 * mebibyte)
        const secret = windowsVolumes.find((volume) => volume.name === metadata)![by]!
        return { disks: [disk], volumes: [{ is: isDecrypted, tree }], secrets: [secret] }
      },
    }),
  ),
  {
    name: 'LVM on LUKS 2, as Ubuntu makes it',
    needs: ['ext4'],
    make: (shop) => {
      const [disk, made] = [shop.blank(110), shop.filesystem(ext(4))]
      const volumes = withLoop(disk, (device) => grouped([device], 'ubuntu-vg', [['ubuntu-lv', made]]))
      encryptInPlace(disk, 'correct horse')
      return { disks: [disk], volumes, secrets: ['correct horse'] }
    },
  },
  {
    name: 'LUKS within LVM',
    needs: ['ext4'],
    make: (shop) => {
      const [disk, inner, { image, tree }] = [shop.blank(90), shop.path(), shop.filesystem(ext(4))]
      encrypted(inner, image, 'deep secret', ['--type', 'luks2', '--sector-size', '512'])
      withLoop(disk, (device) => grouped([device], 'vault', [['safe', { image: inner, tree }]]))
      return { disks: [disk], volumes: [{ is: isDecrypted, tree }], secrets: ['deep secret'] }
    },
  },
]

const disc = (name: string, args: string[]): Case => ({
  name,
  needs: [],
  make: (shop) => {
    const { folder, tree } = shop.folder((root) => {
      mkdirSync(join(root, 'docs'))
      writeFileSync(join(root, 'docs/read me.txt'), randomBytes(50_000))
      writeFileSync(join(root, 'setup.exe'), randomBytes(1_000_000))
      if (args.includes('-R')) symlinkSync('docs/read me.txt', join(root, 'link'))
    })
    const image = shop.path()
    sh('/usr/bin/genisoimage', ['-quiet', ...args, '-o', image, folder])
    return { disks: [image], volumes: [{ is: isWhole, tree }] }
  },
})

export const cases: Case[] = [
  ...filesystems,
  disc('ISO 9660 with Rock Ridge', ['-R']),
  disc('ISO 9660 with Joliet', ['-J']),
  disc('UDF, as a DVD has it', ['-udf']),
  ...tables,
  ...layered,
]
