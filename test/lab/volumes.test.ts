/** Volumes that only a kernel with a device mapper and software RAID makes, read by the agent as its guests would have them. */
import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DiskChain, MountState } from '../../contract/agent.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { blankImage, sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'
import { withLoops } from '../support/volumes.ts'

const mebibyte = 2 ** 20
let real: RealAgent
let before: Census
beforeAll(async () => {
  const modules = ['raid0', 'raid1', 'raid10', 'raid456', 'dm-mod', 'dm-raid', 'dm-mirror', 'dm-thin-pool']
  sh('/usr/sbin/modprobe', ['--all', ...modules])
  real = await openRealAgent()
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  for (const image of images) rmSync(image, { force: true })
  expect(await leftBehind(before)).toEqual([])
})
afterAll(() => real.close())

let images: string[] = []
const disks = (count: number, megabytes: number): string[] => {
  images = Array.from({ length: count }, (_, at) => join(real.folder, `disk-${at}.raw`))
  for (const image of images) blankImage(image, megabytes * mebibyte)
  return images
}
const chainsOf = async (of: readonly string[] = images): Promise<DiskChain[]> => {
  const chains: DiskChain[] = []
  for (const image of of) chains.push(await sealedDisk(real, image))
  return chains
}
const mount = (chains: DiskChain[]): Promise<MountState> => real.agent.ensureMount(randomUUID(), mountOf(...chains))
const read = async (id: string, partition: number, path: string) => {
  const at = { path_b64: Buffer.from(path).toString('base64'), partition }
  const { size, etag } = await real.agent.fileInfo(id, at)
  return buffer(await real.agent.readFile(id, { ...at, start: 0, length: size, etag }))
}

/** Puts random files on a device. @returns what they hold, by their names */
const fill = (device: string, names: string[], make: string[] | null = ['/usr/sbin/mkfs.ext4', '-q']) => {
  if (make) sh(make[0]!, [...make.slice(1), device])
  const folder = join(real.folder, 'mounted')
  mkdirSync(folder, { recursive: true })
  sh('/usr/bin/mount', [device, folder])
  const contents = new Map(names.map((name) => [name, randomBytes(mebibyte * 2 + 777)]))
  for (const [name, content] of contents) writeFileSync(join(folder, name), content)
  sh('/usr/bin/umount', [folder])
  return contents
}
/** Some volume of this kind and name is mounted, and holds all of it. */
const holds = async (state: MountState, kind: string, name: RegExp, contents: ReadonlyMap<string, Buffer>) => {
  const volume = state.partitions.find((partition) => partition.kind === kind && name.test(partition.name))
  expect(volume, JSON.stringify(state.partitions)).toMatchObject({ mounted: true, reason: null })
  for (const [path, content] of contents)
    expect((await read(state.mount_id, volume!.number, `/${path}`)).equals(content), path).toBe(true)
}

const mdadm = (...args: string[]) =>
  execFileSync('/usr/sbin/mdadm', args, { env: { ...process.env, MDADM_NO_UDEV: '1' }, stdio: 'pipe' })
const array = '/dev/md100'
const withArray = <T>(devices: string[], options: string[], work: () => T): T => {
  const all = ['--create', array, '--run', '--homehost=guest', '--name=data', '--assume-clean', ...options]
  mdadm(...all, `--raid-devices=${devices.length}`, ...devices)
  try {
    return work()
  } finally {
    mdadm('--stop', array)
  }
}

const config = 'activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 } global { use_lvmpolld=0 }'
const lvm = (devices: string[], tool: string, ...args: string[]) =>
  sh(`/usr/sbin/${tool}`, ['--quiet', '--yes', '--devices', devices.join(','), '--config', config, ...args])
/** Makes a group, does what is to be done with its live volumes, and lets go of it. */
const withGroup = <T>(devices: string[], work: (run: (tool: string, ...args: string[]) => string) => T): T => {
  const run = (tool: string, ...args: string[]) => lvm(devices, tool, ...args)
  run('pvcreate', ...devices)
  run('vgcreate', 'vg', ...devices)
  try {
    return work(run)
  } finally {
    run('vgchange', '--activate', 'n', 'vg')
  }
}

describe('software RAID', () => {
  it.each([
    ['0 of two', 2, ['--level=0', '--chunk=64']],
    ['1', 2, ['--level=1', '--metadata=1.2']],
    ['1 with its superblock at the end', 2, ['--level=1', '--metadata=1.0']],
    ['5', 3, ['--level=5', '--chunk=64']],
    ['5, right-asymmetric', 4, ['--level=5', '--chunk=64', '--layout=right-asymmetric']],
    ['10', 4, ['--level=10', '--chunk=64']],
    ['linear', 2, ['--level=linear']],
  ])('%s', async (_, count, options) => {
    const contents = withLoops(disks(count, 60), (devices) =>
      withArray(devices, options, () => fill(array, ['a', 'b', 'c'])),
    )
    await holds(await mount(await chainsOf()), 'raid', /^data$/, contents)
  })

  it('1 and 5 open without one of their members, 0 says what is missing', async () => {
    const mirrored = withLoops(disks(2, 60), (devices) => withArray(devices, ['--level=1'], () => fill(array, ['a'])))
    await holds(await mount(await chainsOf(images.slice(1))), 'raid', /data/, mirrored)
    const five = withLoops(disks(3, 60), (devices) => withArray(devices, ['--level=5'], () => fill(array, ['a', 'b'])))
    await holds(await mount((await chainsOf()).slice(0, 2)), 'raid', /data/, five)
    withLoops(disks(2, 60), (devices) => withArray(devices, ['--level=0'], () => fill(array, ['a'])))
    await expect(mount((await chainsOf()).slice(0, 1))).rejects.toMatchObject({
      code: 'NO_MOUNTABLE_FILESYSTEM',
      details: expect.stringContaining('1 of its 2 members are missing'),
    })
  })

  it('a member that failed before the last files were written is not believed', async () => {
    const contents = withLoops(disks(2, 60), (devices) =>
      withArray(devices, ['--level=1'], () => {
        fill(array, ['old'])
        mdadm(array, '--fail', devices[0]!, '--remove', devices[0]!)
        return fill(array, ['old', 'new'], null)
      }),
    )
    await holds(await mount(await chainsOf()), 'raid', /data/, contents)
  })

  it('below LVM, as installers lay it', async () => {
    const contents = withLoops(disks(2, 80), (devices) =>
      withArray(devices, ['--level=1'], () =>
        withGroup([array], (run) => {
          run('lvcreate', '--name', 'root', '--extents', '12', 'vg')
          return fill('/dev/mapper/vg-root', ['a', 'b'])
        }),
      ),
    )
    await holds(await mount(await chainsOf()), 'lv', /^vg\/root$/, contents)
  })
})

describe('LVM', () => {
  it.each([
    ['striped', ['--type', 'striped', '--stripes', '3', '--stripesize', '16k', '--extents', '12']],
    ['raid0', ['--type', 'raid0', '--stripes', '3', '--stripesize', '16k', '--extents', '12']],
    ['raid1', ['--type', 'raid1', '--mirrors', '1', '--extents', '8']],
    ['mirror', ['--type', 'mirror', '--mirrors', '1', '--mirrorlog', 'core', '--extents', '8']],
    ['raid5', ['--type', 'raid5', '--stripes', '2', '--stripesize', '16k', '--extents', '8']],
  ])('%s', async (_, options) => {
    const contents = withLoops(disks(3, 80), (devices) =>
      withGroup(devices, (run) => {
        run('lvcreate', '--name', 'data', ...options, 'vg')
        // What is being brought in line can not be told from what never was.
        for (let wait = 0; wait < 600; wait++) {
          if (/100\.00|^\s*$/.test(run('lvs', '--noheadings', '--options', 'sync_percent', 'vg/data'))) break
          execFileSync('/usr/bin/sleep', ['0.5'])
        }
        return fill('/dev/mapper/vg-data', ['a', 'b'])
      }),
    )
    await holds(await mount(await chainsOf()), 'lv', /^vg\/data$/, contents)
  })

  it('thin volumes and their snapshots, each with its own files', async () => {
    const [now, then] = withLoops(disks(1, 160), (devices) =>
      withGroup(devices, (run) => {
        run('lvcreate', '--type', 'thin-pool', '--name', 'pool', '--size', '96M', '--poolmetadatasize', '4M', 'vg')
        run('lvcreate', '--type', 'thin', '--name', 'data', '--virtualsize', '300M', '--thinpool', 'vg/pool')
        const old = fill('/dev/mapper/vg-data', ['a', 'b'])
        run('lvcreate', '--snapshot', '--name', 'snap', '--setactivationskip', 'n', 'vg/data')
        return [fill('/dev/mapper/vg-data', ['b', 'c'], null), old] as const
      }),
    )
    const state = await mount(await chainsOf())
    await holds(state, 'lv', /^vg\/data$/, now)
    await holds(state, 'lv', /^vg\/snap$/, then)
  })
})

it('opens FAT, exFAT and a disc image by this kernel', async () => {
  for (const [make, type] of [
    [['/usr/sbin/mkfs.vfat', '-F', '32'], 'vfat'],
    [['/usr/sbin/mkfs.exfat'], 'exfat'],
  ] as const) {
    const contents = withLoops(disks(1, 64), ([device]) => fill(device!, ['Long Name ä.bin', 'b'], [...make]))
    const state = await mount(await chainsOf())
    expect(state.partitions[0]).toMatchObject({ filesystem: type, reader: 'host' })
    await holds(state, 'whole_disk', /./, contents)
  }
  const [disc] = disks(1, 1)
  const folder = join(real.folder, 'disc')
  mkdirSync(folder)
  writeFileSync(join(folder, 'read me.txt'), 'a disc')
  sh('/usr/bin/genisoimage', ['-quiet', '-rock', '-joliet', '-output', disc!, folder])
  sh('/usr/bin/truncate', ['--size=%1M', disc!])
  const state = await mount(await chainsOf())
  expect(state.partitions[0]).toMatchObject({ filesystem: 'iso9660', mounted: true })
  expect((await read(state.mount_id, 0, '/read me.txt')).toString()).toBe('a disc')
  rmSync(folder, { recursive: true })
  expect(readFileSync('/proc/mdstat', 'utf8')).not.toContain('md100')
})
