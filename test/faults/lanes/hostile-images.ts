/**
 * Lane F: hostile QCOW2 headers, partition tables and filesystems. They may cost their own mount and nothing else: the agent lives, another
 * mount goes on, no file or address that a header names is ever opened.
 * `hostileImages` is what no kernel parses, `hostileKernels` what that of a throw-away machine does, which may die of it; `hostileFilesystems` is for the lab's machine,
 * where the host's own kernel may.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { HubError } from '../../../contract/errors.ts'
import { windowsVolumesFolder } from '../../support/bitlocker.ts'
import type { Random } from '../../support/damage.ts'
import {
  blankImage,
  type FilesystemKind,
  filesystemImage,
  makeFilesystem,
  sh,
  withLoop,
  withMounted,
} from '../../support/images.ts'
import { openRealAgent } from '../../support/real-agent.ts'
import { mountOf, sealedDisk } from '../../support/sealed-disk.ts'
import type { Lane } from '../lane.ts'
import { hostFindings } from '../support/findings.ts'
import {
  secrets as knownSecrets,
  makeVolumeSeeds,
  mutateMetadata,
  mutateRaid,
  mutateThin,
} from '../support/hostile-volumes.ts'
import { SeedImage, sectorBytes } from '../support/seed-image.ts'

const mib = 2 ** 20
const canary = 'a file of the host that no guest may see'
/** What an admin waits for, at the most; and where it may be for a machine that does not start, which is given up after a minute, and for the next one. */
const patienceMs = { plain: 60_000, machine: 120_000 }

/** Of an index's lines. */
const walkBytesMax = 20 * mib

const path = (text: string) => ({ path_b64: Buffer.from(text).toString('base64') })

type Kind =
  | 'header'
  | 'gpt'
  | 'mbr'
  | 'lvm'
  | 'lvm-metadata'
  | 'thin'
  | 'thin-metadata'
  | 'raid'
  | 'luks'
  | 'bitlocker'
  | 'vfat'
  | 'iso9660'
  | 'udf'
  | 'exfat'
  | FilesystemKind
type RawKind = Exclude<Kind, 'header'>

const seedFilesystem = (folder: string, kind: FilesystemKind): string => {
  const image = join(folder, `${kind}.raw`)
  filesystemImage(image, kind, 16 * mib, (root) => {
    mkdirSync(join(root, 'folder'))
    for (let at = 0; at < 40; at++) writeFileSync(join(root, 'folder', `file ${at}`), 'x'.repeat(at * 100))
  })
  return image
}

const seedStick = (folder: string): string => {
  const image = join(folder, 'vfat.raw')
  blankImage(image, 16 * mib)
  sh('/usr/sbin/mkfs.vfat', ['-F', '16', image])
  for (let at = 0; at < 40; at++) {
    const file = join(folder, `file ${at}`)
    writeFileSync(file, 'x'.repeat(at * 100))
    sh('/usr/bin/mcopy', ['-i', image, file, `::a long name of file ${at}`])
    rmSync(file)
  }
  return image
}
const seedDisc = (folder: string, kind: 'iso9660' | 'udf'): string => {
  const [root, image] = [join(folder, `disc-${kind}`), join(folder, `${kind}.raw`)]
  mkdirSync(root)
  for (let at = 0; at < 40; at++) writeFileSync(join(root, `file ${at}`), 'x'.repeat(at * 100))
  sh('/usr/bin/genisoimage', ['-quiet', ...(kind === 'udf' ? ['-udf'] : ['-R', '-J']), '-o', image, root])
  return image
}

/** Filled by its driver for FUSE: not every kernel knows it. */
const seedExfat = (folder: string): string => {
  const [root, image] = [join(folder, 'exfat'), join(folder, 'exfat.raw')]
  mkdirSync(root)
  blankImage(image, 16 * mib)
  sh('/usr/sbin/mkfs.exfat', [image])
  withLoop(image, (device) => {
    sh('/usr/bin/mount', ['-t', 'exfat-fuse', device, root])
    try {
      for (let at = 0; at < 40; at++) writeFileSync(join(root, `a long name of file ${at}`), 'x'.repeat(at * 100))
    } finally {
      sh('/usr/bin/umount', [root])
    }
  })
  return image
}

/** Raw disks to start from. */
const makeSeeds = (folder: string): Record<'gpt' | 'mbr' | 'ntfs' | 'ext4', string> => {
  const partitioned = (kind: 'gpt' | 'mbr', script: string, partition: string) => {
    const image = join(folder, `${kind}.raw`)
    blankImage(image, 48 * mib)
    sh('/usr/sbin/sfdisk', ['--quiet', image], script)
    withLoop(image, (device) => {
      makeFilesystem('ntfs', `${device}${partition}`)
      withMounted('ntfs', `${device}${partition}`, (root) => writeFileSync(join(root, 'file'), 'x'.repeat(10_000)))
    })
    return image
  }
  return {
    gpt: partitioned('gpt', 'label: gpt\nsize=20M\nsize=4M\n', 'p1'),
    mbr: partitioned(
      'mbr',
      'label: dos\n1: size=20M, type=7\n2: size=20M, type=5\n5: size=6M, type=83\n6: size=6M, type=83\n',
      'p1',
    ),
    ntfs: seedFilesystem(folder, 'ntfs'),
    ext4: seedFilesystem(folder, 'ext4'),
  }
}

/** Values that parsers trip over. */
const oddNumbers = [0n, 1n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 64n - 1n]

const mutate = (data: Buffer, from: number, length: number, random: Random): string => {
  const changes = 1 + random(8)
  for (let change = 0; change < changes; change++) {
    const at = from + random(length)
    if (random(3) === 0) data.writeBigUInt64LE(oddNumbers[random(oddNumbers.length)]!, Math.min(at, data.length - 8))
    else data[at] = random(256)
  }
  return `${changes} changes in ${from}..${from + length}`
}

const areaBytes = mib
const gptBackupBytes = 33 * 512
/** Where these keep their first superblocks; all other metadata is wherever the image is not empty. */
const superblockBytes = 128 * 1024
const mutateRaw = (kind: RawKind, seed: SeedImage, random: Random): string => {
  const { data } = seed
  if (kind === 'gpt')
    return random(4) === 0
      ? mutate(data, data.length - gptBackupBytes, gptBackupBytes, random)
      : mutate(data, 446, 34 * 512 - 446, random)
  if (kind === 'mbr') return random(2) === 0 ? mutate(data, 440, 72, random) : mutate(data, 21 * mib, 16 * mib, random)
  // The label and the header of the metadata; or a volume's first blocks.
  if (kind === 'lvm') return mutate(data, random(2) === 0 ? 512 : areaBytes, areaBytes, random)
  if (kind === 'lvm-metadata' || kind === 'thin-metadata') return mutateMetadata(data, random)
  if (kind === 'thin') return mutateThin(data, random)
  if (kind === 'raid') return mutateRaid(data, random)
  // Its header, its slots, or what is encrypted.
  if (kind === 'luks') return mutate(data, 0, [4096, 32 * 1024, 20 * mib][random(3)]!, random)
  // Its boot sector, one of its three copies of the metadata, or what is encrypted.
  if (kind === 'bitlocker') {
    const places = [0, ...[176, 184, 192].map((at) => Number(data.readBigUInt64LE(at)))]
    return random(5) === 0 ? mutate(data, 0, data.length, random) : mutate(data, places[random(4)]!, 1024, random)
  }
  if (kind !== 'ntfs') {
    if (random(2) === 0) return mutate(data, 0, superblockBytes, random)
    const used = seed.usedSectors
    return mutate(data, used[random(used.length)]! * sectorBytes, sectorBytes, random)
  }
  // Boot sector, master file table and whatever comes after.
  return random(3) === 0 ? mutate(data, 0, 512, random) : mutate(data, 4096, data.length / 2, random)
}

/** Big-endian fields of a QCOW2 header: place and size (qemu, docs/interop/qcow2.txt). */
const headerFields: [number, 4 | 8][] = [
  ...([0, 4, 16, 20, 32, 36, 56, 60, 96, 100] as const).map((at): [number, 4] => [at, 4]),
  ...([8, 24, 40, 48, 64, 72, 80, 88] as const).map((at): [number, 8] => [at, 8]),
]
const mutateHeader = (data: Buffer, names: string[], random: Random): string => {
  const kind = random(4)
  if (kind === 0) {
    const name = names[random(names.length)]!
    data.writeBigUInt64BE(600n, 8)
    data.writeUInt32BE(name.length, 16)
    data.write(name, 600)
    return `backing file ${name}`
  }
  if (kind === 1) {
    // An external data file, named by a header extension.
    const name = names[random(names.length)]!
    data.writeBigUInt64BE(4n, 72)
    data.writeUInt32BE(0x44415441, 104)
    data.writeUInt32BE(name.length, 108)
    data.write(name, 112)
    data.fill(0, 112 + name.length, 112 + name.length + 16)
    return `data file ${name}`
  }
  if (kind === 2) {
    const [at, size] = headerFields[random(headerFields.length)]!
    const value = oddNumbers[random(oddNumbers.length)]!
    if (size === 8) data.writeBigUInt64BE(value, at)
    else data.writeUInt32BE(Number(value & 0xffffffffn), at)
    return `header field ${at} = ${value}`
  }
  return mutate(data, 0, random(2) === 0 ? 512 : 4 * 65536, random)
}

const lane = (
  title: string,
  kinds: Kind[],
  prepareSeeds: (folder: string) => Partial<Record<RawKind, string>>,
  options: Parameters<typeof openRealAgent>[0] = {},
): Lane => ({
  title,
  open: async () => {
    const real = await openRealAgent(options)
    const { agent } = real
    const harmless = seedFilesystem(mkdtempSync(join(real.folder, 'harmless-')), 'ntfs')
    const seeds = prepareSeeds(real.folder)
    const canaryPath = join(real.folder, 'canary')
    writeFileSync(canaryPath, canary.padEnd(mib, '.'))
    let connections = 0
    const listener = createServer((socket) => {
      connections++
      socket.destroy()
    })
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const { port } = listener.address() as { port: number }
    const names = [
      canaryPath,
      `file:${canaryPath}`,
      `nbd://127.0.0.1:${port}/x`,
      `json:{"driver":"raw","file":{"driver":"file","filename":"${canaryPath}"}}`,
      `json:{"driver":"nbd","host":"127.0.0.1","port":"${port}"}`,
    ]
    const good = await sealedDisk(real, harmless)
    const goodMount = randomUUID()
    await agent.ensureMount(goodMount, mountOf(good))
    const secrets = knownSecrets.map((secret) => Buffer.from(secret).toString('base64'))
    const place = { repository_id: 'repo', vm_backup_context_id: 'ctx-hostile', disk_index: 0 }
    const folder = join(real.repositoryPath, place.vm_backup_context_id, 'disk-0')
    mkdirSync(folder, { recursive: true })
    let number = 0

    const seedImages = new Map<RawKind, SeedImage>()
    const seedOf = (kind: RawKind): SeedImage => {
      const known = seedImages.get(kind)
      if (known) return known
      const seed = new SeedImage(seeds[kind]!, join(real.folder, `hostile-${kind}.raw`))
      seedImages.set(kind, seed)
      return seed
    }
    const readSome = async (id: string) => {
      const { entries } = await agent.listFiles(id, { ...path('/'), recursive: true, limit: 50, offset: 0 })
      for (const entry of entries.filter(({ type, size }) => type === 'file' && size < mib).slice(0, 5)) {
        const where = path(entry.path)
        const info = await agent.fileInfo(id, where)
        const content = await buffer(
          await agent.readFile(id, { ...where, start: 0, length: info.size, etag: info.etag }),
        ).catch(() => Buffer.alloc(0))
        if (content.includes(canary)) throw new Error('a file of the host was served')
      }
    }

    const walkAll = async (disk: Parameters<typeof mountOf>[0]) => {
      let bytes = 0
      for await (const chunk of await agent.readIndex({ ...mountOf(disk), secrets })) {
        bytes += chunk.length
        if (bytes > walkBytesMax) return
      }
    }

    return {
      trial: async (random) => {
        const kind = kinds[random(kinds.length)]!
        const base = `hostile-${++number}`
        const file = join(folder, `${base}.qcow2`)
        let what: string
        if (kind === 'header') {
          sh('/usr/bin/qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', harmless, file])
          const data = readFileSync(file)
          what = mutateHeader(data, names, random)
          writeFileSync(file, data)
        } else {
          const seed = seedOf(kind)
          what = mutateRaw(kind, seed, random)
          seed.whileChanged(() => sh('/usr/bin/qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', seed.path, file]))
        }
        utimesSync(canaryPath, 1, 2)
        const violations: string[] = []
        const id = randomUUID()
        const began = performance.now()
        let answer = 'mounted'
        try {
          await agent.ensureMount(id, { ...mountOf({ ...place, bases: [base] }), secrets, guest_view: true })
          await readSome(id)
        } catch (error) {
          answer = error instanceof HubError ? error.code : String(error)
          if (!(error instanceof HubError)) violations.push(`no answer of the contract: ${answer}`)
          else if (error.code === 'INTERNAL') violations.push(`an error that nobody thought of: ${error.message}`)
        }
        await walkAll({ ...place, bases: [base] }).catch((error: unknown) => {
          // One that has no end is cut off here; a hub cuts it off at so many entries.
          if (!(error instanceof HubError) && (error as NodeJS.ErrnoException).code !== 'ECONNRESET')
            violations.push(`a walk that failed: ${error}`)
        })
        const tookMs = performance.now() - began
        if (tookMs > patienceMs[options.machineMounts ? 'machine' : 'plain'])
          violations.push(`it took ${Math.round(tookMs / 1000)} s`)
        await agent.removeMount(id, 'user')
        if (statSync(canaryPath).atimeMs !== 1000) violations.push('a file of the host was read')
        if (connections > 0) violations.push('an address that the image names was connected to')
        connections = 0
        if (!(await real.isRunning()))
          return { fired: true, what, violations: [...violations, 'the host-agent has died of it'] }
        await readSome(goodMount).catch((error: Error) => violations.push(`another mount was harmed: ${error.message}`))
        violations.push(...(await hostFindings(real)))
        rmSync(file)
        return { fired: true, what: `${kind}: ${what}: ${answer}`, violations }
      },
      close: async () => {
        listener.close()
        await real.close()
      },
    }
  },
})

export const hostileImages = lane(
  'hostile QCOW2 headers, partition tables, NTFS and ext4 volumes',
  ['header', 'gpt', 'mbr', 'ntfs', 'ext4'],
  makeSeeds,
)
export const hostileVolumes: Lane = {
  ...lane(
    'hostile LVM, thin pools, software RAID, LUKS and BitLocker volumes',
    ['lvm', 'lvm-metadata', 'thin', 'thin-metadata', 'raid', 'luks', 'bitlocker'],
    (folder) => {
      const seeds = makeVolumeSeeds(folder, (root) => writeFileSync(join(root, 'file'), 'x'.repeat(10_000)))
      return { ...seeds, 'lvm-metadata': seeds.lvm, 'thin-metadata': seeds.thin }
    },
  ),
  fetch: windowsVolumesFolder,
}
export const hostileFilesystems = lane('mutated XFS and btrfs under a stock kernel', ['xfs', 'btrfs'], (folder) => ({
  xfs: seedFilesystem(folder, 'xfs'),
  btrfs: seedFilesystem(folder, 'btrfs'),
}))
export const hostileKernels = lane(
  'hostile XFS, btrfs, FAT, exFAT, ISO 9660 and UDF under the kernel of a throw-away machine',
  ['xfs', 'btrfs', 'vfat', 'exfat', 'iso9660', 'udf'],
  (folder) => ({
    xfs: seedFilesystem(folder, 'xfs'),
    btrfs: seedFilesystem(folder, 'btrfs'),
    vfat: seedStick(folder),
    exfat: seedExfat(folder),
    iso9660: seedDisc(folder, 'iso9660'),
    udf: seedDisc(folder, 'udf'),
  }),
  { hostMounts: [], machineMounts: 'auto' },
)
