/** Without the nbd module: qemu-storage-daemon shows the disk as a file through FUSE, and a loop device over it makes it a disk. */
import { open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { type Daemon, killProven, program, run, startDaemon } from '../exec.ts'
import type { AttachBackend, Attached, AttachRecord, AttachRequest } from './backend.ts'
import { unmount } from './mount-table.ts'
import { attachNode, overlayBytesMax } from './overlay.ts'

const readyTimeoutMs = 15_000

const exportFile = (runDir: string) => join(runDir, 'disk.raw')
const isWritable = ({ overlay }: AttachRequest) => overlay === 'replay'

const startExport = async (request: AttachRequest): Promise<Daemon> => {
  const { runDir } = request
  const node = { ...(await attachNode(request)), 'node-name': 'disk' }
  const pidFile = join(runDir, 'export.pid')
  await rm(pidFile, { force: true })
  await (await open(exportFile(runDir), 'w', 0o600)).close()
  const daemon = await startDaemon(
    program.qemuStorageDaemon,
    [
      '--blockdev',
      JSON.stringify(node),
      '--export',
      JSON.stringify({
        type: 'fuse',
        id: 'export',
        'node-name': 'disk',
        mountpoint: exportFile(runDir),
        writable: isWritable(request),
      }),
      '--pidfile',
      pidFile,
    ],
    isWritable(request) ? { fileBytesMax: overlayBytesMax } : {},
  )
  // It writes the pid file when all of its options are in place, so the export is there by then.
  const until = performance.now() + readyTimeoutMs
  for (let pauseMs = 1; performance.now() < until; pauseMs = Math.min(3, pauseMs + 1)) {
    if (daemon.hasEnded())
      throw new HubError('CHAIN_BROKEN', 'The disk can not be opened', {
        details: lastLine((await daemon.ended).stderr),
      })
    if (
      await stat(pidFile).then(
        ({ size }) => size > 0,
        () => false,
      )
    )
      return daemon
    await sleep(pauseMs)
  }
  await daemon.stop(0)
  throw new HubError('SERVICE_UNAVAILABLE', 'The disk could not be attached in time')
}

/** QEMU's own words, without the paths of this host. */
const lastLine = (stderr: string) => (stderr.trim().split('\n').at(-1) ?? '').replace(/\/\S+\//g, '')

/** Loop devices whose file lies in this folder: ours, also when an agent died before it wrote the device down. */
const loopsOver = async (runDir: string): Promise<string[]> => {
  const { stdout } = await run(program.losetup, ['--json', '--list', '--output', 'NAME,BACK-FILE'])
  const { loopdevices = [] } = (stdout.trim() === '' ? {} : JSON.parse(stdout)) as {
    loopdevices?: { name: string; 'back-file': string }[]
  }
  return loopdevices.filter((loop) => loop['back-file'].startsWith(`${runDir}/`)).map(({ name }) => name)
}

const freeLoops = async (runDir: string) => {
  for (const device of await loopsOver(runDir)) {
    // Partition nodes first, so that none outlives the device.
    await run(program.partx, ['-d', device], { okCodes: [0, 1] })
    await run(program.losetup, ['-d', device], { okCodes: [0, 1] })
  }
}

export const userspace: AttachBackend = {
  name: 'userspace',

  async attach(request, record): Promise<Attached> {
    const { runDir } = request
    const image = exportFile(runDir)
    let known: AttachRecord = { backend: 'userspace', runDir, pid: null, startTicks: null, device: null }
    const remember = (more: Partial<AttachRecord>) => {
      known = { ...known, ...more }
      return record(known)
    }
    await remember({})
    const daemon = await startExport(request)
    const device = (async () => {
      await remember({ pid: daemon.pid, startTicks: daemon.startTicks })
      // Direct I/O reads twice as fast, but over a writable FUSE export it gave one sector's data for another's (XFS log replay).
      const access = isWritable(request) ? ['--direct-io=off'] : ['--read-only', '--direct-io=on']
      const { stdout } = await run(program.losetup, ['--partscan', ...access, '--find', '--show', image])
      await remember({ device: stdout.trim() })
      return stdout.trim()
    })()
    return {
      image,
      device,
      detach: async () => {
        await device.catch(() => undefined)
        await freeLoops(runDir)
        await daemon.stop(5_000)
        await unmount(image)
        await rm(image, { force: true })
      },
    }
  },

  async undo({ runDir, pid, startTicks }) {
    await freeLoops(runDir)
    if (pid !== null && startTicks !== null) await killProven(pid, startTicks)
    await unmount(exportFile(runDir))
  },
}

/** Whether this host can attach this way. */
export const userspaceIsPossible = async (): Promise<boolean> => {
  const filesystems = await readFile('/proc/filesystems', 'utf8')
  const there = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    )
  return (
    filesystems.includes('\tfuse\n') &&
    (await there('/dev/fuse')) &&
    (await there('/dev/loop-control')) &&
    (await there(program.qemuStorageDaemon))
  )
}
