/** How much slower is a full backup through hub and node than the same copy by hand with the fastest stock tool? */
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Hub, registerVm, startHub, waitForEnd } from '../../test/support/hub.ts'
import { copyInto, sh } from '../../test/support/images.ts'
import { freePorts } from '../../test/support/real-agent.ts'
import { sparseDisk } from '../support/disks.ts'
import { median, print, row, seconds, sideBySide } from '../support/measure.ts'

const diskBytes = 4 * 2 ** 30

const byHand = async (source: string, folder: string, port: number): Promise<number> => {
  const target = join(folder, 'by-hand.qcow2')
  sh('/usr/bin/qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=65536', target, String(diskBytes)])
  const server = spawn(
    '/usr/bin/qemu-nbd',
    [
      '--persistent',
      '--shared=10',
      '--bind=127.0.0.1',
      `--port=${port}`,
      '--export-name=x',
      '--cache=writeback',
      '--discard=unmap',
      '-f',
      'qcow2',
      target,
    ],
    { stdio: 'ignore' },
  )
  await sleep(200)
  const took = await seconds(async () => copyInto(source, port, 'x'))
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  await ended
  rmSync(target)
  return took
}

/** As rarely as a page asks, so that the asking costs nothing; often near the end, so that the end is seen. */
const pollMs = ({ bytes_transferred, total_bytes }: { bytes_transferred: number; total_bytes: number }) =>
  bytes_transferred < 0.9 * total_bytes ? 500 : 25

const throughHub = async (hub: Hub, vm: { vmName: string; repositoryId: string }) => {
  const began = performance.now()
  const { body } = await hub.api('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'full',
  })
  let flushed = 0
  for (;;) {
    const { body: now } = await hub.api('GET', `/backups/${body.backup_id}`)
    if (flushed === 0 && ['finalizing', 'completed'].includes(now.current_phase))
      flushed = (performance.now() - began) / 1000
    if (now.status === 'completed') break
    if (now.status === 'failed') throw new Error(now.error_message)
    await sleep(pollMs(now))
  }
  const completed = (performance.now() - began) / 1000
  await waitForEnd(hub, body.backup_id)
  await hub.api('DELETE', `/backups/${body.backup_id}`)
  return { flushed, completed }
}

const hub = await startHub()
try {
  const one = join(hub.folder, 'vms/one')
  const two = join(hub.folder, 'vms/two')
  for (const folder of [one, two]) mkdirSync(folder)
  sparseDisk(join(one, 'disk0.raw'), diskBytes, 60)
  sparseDisk(join(two, 'disk0.raw'), diskBytes / 2, 60)
  sparseDisk(join(two, 'disk1.raw'), diskBytes / 2, 60)
  const half = join(hub.folder, 'vms/half')
  mkdirSync(half)
  sh('/usr/bin/cp', ['--sparse=always', join(two, 'disk0.raw'), join(half, 'disk0.raw')])
  const [vmOne, vmTwo, vmHalf] = [
    await registerVm(hub, 'one'),
    await registerVm(hub, 'two'),
    await registerVm(hub, 'half'),
  ]
  const port = await freePorts(1)
  const flushedTimes: number[] = []
  const synced = async (work: () => Promise<number>) => {
    sh('/usr/bin/sync', [])
    return work()
  }
  const {
    hand,
    whole: completed,
    half: single,
    two: both,
  } = await sideBySide({
    hand: () => synced(() => byHand(join(one, 'disk0.raw'), hub.folder, port)),
    whole: () =>
      synced(async () => {
        const { flushed, completed } = await throughHub(hub, vmOne)
        flushedTimes.push(flushed)
        return completed
      }),
    half: () => synced(async () => (await throughHub(hub, vmHalf)).completed),
    two: () => synced(async () => (await throughHub(hub, vmTwo)).completed),
  })
  const flushed = median(flushedTimes)
  const shown = (value: number) => `${value.toFixed(2)} s`
  print([
    row(
      'Full of 4 GiB, 60 % random: request to flushed',
      shown(flushed),
      `nbdcopy by hand, flush included: ${shown(hand)}`,
      hand / flushed,
      '≥ 0.9',
      hand / flushed >= 0.9,
    ),
    row(
      'The same: request to completed, sealed and checksummed',
      shown(completed),
      `nbdcopy by hand: ${shown(hand)}`,
      hand / completed,
      '≥ 0.6',
      hand / completed >= 0.6,
    ),
    row(
      'Two disks of 2 GiB at once',
      shown(both),
      `one of them alone: ${shown(single)}`,
      both / single,
      '≤ 1.3 where cores allow',
      both / single <= 1.3,
    ),
  ])
} finally {
  await hub.stop()
}
