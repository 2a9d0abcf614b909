/** How much longer until the first listing, when what is opened lies within LVM, or on four disks? */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DiskChain } from '../../contract/agent.ts'
import { blankImage, filesystemImage, sh, withLoop } from '../../test/support/images.ts'
import { openRealAgent } from '../../test/support/real-agent.ts'
import { mountOf, sealedDisk } from '../../test/support/sealed-disk.ts'
import { VolumeGroup } from '../../test/support/volumes.ts'
import { print, rounds, row, seconds, sideBySide } from '../support/measure.ts'

const mebibyte = 2 ** 20
const extents = 16
const [ofPartition, ofOneDisk] = [1.5, 2]
/** What a mount leaves to be done after its answer (the next sandbox) must not be counted by the next. */
const restMs = 1_500
/** The same for the next throw-away machine. */
const machineRestMs = 6_000
const moreMs = 5_000

const real = await openRealAgent()
/** Reads in a throw-away machine what the other reads in a sandbox. */
const machines = await openRealAgent({ machineMounts: ['ext4'] })
try {
  const file = (name: string) => join(real.folder, `${name}.raw`)
  const filesystem = file('filesystem')
  filesystemImage(filesystem, 'ext4', extents * 4 * mebibyte, (root) => {
    for (let at = 0; at < 200; at++) writeFileSync(join(root, `file ${at}`), 'x')
  })
  const partitioned = file('partitioned')
  blankImage(partitioned, 80 * mebibyte)
  sh('/usr/sbin/sfdisk', ['--quiet', '--no-tell-kernel', partitioned], 'label: gpt\nstart=1MiB\n')
  sh('/usr/bin/dd', [`if=${filesystem}`, `of=${partitioned}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none'])
  const grouped = (name: string, isTorn: boolean): string => {
    const disk = file(name)
    blankImage(disk, 80 * mebibyte)
    withLoop(disk, (device) => {
      const group = new VolumeGroup('vg', [device])
      group.add('root', isTorn ? 8 : extents)
      // Something lies between its two halves.
      if (isTorn) {
        group.add('other', 1)
        group.extend('root', extents - 8)
      }
      group.pour('root', filesystem)
    })
    return disk
  }
  const plain = await sealedDisk(real, partitioned)
  const whole = await sealedDisk(real, grouped('whole', false))
  const torn = await sealedDisk(real, grouped('torn', true))
  const four = [plain, ...(await Promise.all([1, 2, 3].map(() => sealedDisk(real, partitioned))))]

  const firstListing =
    (disks: DiskChain[], { agent } = real) =>
    async () => {
      await sleep(agent === real.agent ? restMs : machineRestMs)
      const id = randomUUID()
      const took = await seconds(async () => {
        await agent.ensureMount(id, mountOf(...disks))
        await agent.listFiles(id, { path_b64: 'Lw==', recursive: false, limit: 1000, offset: 0 })
      })
      await agent.removeMount(id, 'user')
      return took
    }
  const taken = await sideBySide(
    {
      partition: firstListing([plain]),
      volume: firstListing([whole]),
      pieces: firstListing([torn]),
      disks: firstListing(four),
    },
    rounds * 4,
  )
  const ms = (value: number) => `${(value * 1000).toFixed(0)} ms`
  const line = (what: string, value: number, goal: number) =>
    row(
      what,
      ms(value),
      `one plain partition: ${ms(taken.partition)}`,
      value / taken.partition,
      `≤ ${goal}`,
      value <= goal * taken.partition,
    )
  const inMachine = await sealedDisk(machines, partitioned)
  const { machine } = await sideBySide({ machine: firstListing([inMachine], machines) }, rounds)
  const { machines: accelerator } = await machines.agent.health()
  print([
    row(
      `In a throw-away machine (${accelerator}) to first listing`,
      ms(machine),
      `in a sandbox: ${ms(taken.partition)}`,
      machine / taken.partition,
      `≤ ${moreMs / 1000} s more`,
      machine * 1000 <= taken.partition * 1000 + moreMs,
    ),
    line('Logical volume in one piece to first listing', taken.volume, ofPartition),
    line('Logical volume in two pieces to first listing', taken.pieces, ofPartition),
    line('All of a machine with four disks to first listing', taken.disks, ofOneDisk),
  ])
} finally {
  await machines.close()
  await real.close()
}
