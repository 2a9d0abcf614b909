/** Without the nbd module: qemu-storage-daemon shows the disk as a file through FUSE, and a loop device over it makes it a disk. */
import { open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { killProven, program, run } from '../exec.ts'
import type { AttachBackend, Attached, AttachRecord, AttachRequest } from './backend.ts'
import { unmount } from './mount-table.ts'
import { attachNode, overlayBytesMax } from './overlay.ts'
import { StorageDaemon } from './storage-daemon.ts'

const exportFile = (runDir: string) => join(runDir, 'disk.raw')
const isWritable = ({ overlay }: AttachRequest) => overlay === 'replay'

/** @throws CHAIN_BROKEN in QEMU's own words */
const startExport = async (request: AttachRequest, daemon: StorageDaemon): Promise<void> => {
  const image = exportFile(request.runDir)
  const node = { ...(await attachNode(request)), 'node-name': 'disk' }
  await (await open(image, 'w', 0o600)).close()
  await daemon.show(node, image, isWritable(request))
}

/** Loop devices whose file lies in this folder: ours, also when an agent died before it wrote the device down. */
const loopsOver = async (runDir: string): Promise<string[]> => {
  const { stdout } = await run(program.losetup, ['--json', '--list', '--output', 'NAME,BACK-FILE'])
  const { loopdevices = [] } = (stdout.trim() === '' ? {} : JSON.parse(stdout)) as {
    loopdevices?: { name: string; 'back-file': string }[]
  }
  return loopdevices.filter((loop) => loop['back-file'].startsWith(`${runDir}/`)).map(({ name }) => name)
}

/** A device that somebody looks at (blkid, udev) goes when he has done. */
const detachTriesMax = 20

/** @throws when a device stays; it must not outlive the file below it, for then nobody could tell whose it is */
const freeLoops = async (runDir: string) => {
  for (let attempt = 1; ; attempt++) {
    const devices = await loopsOver(runDir)
    if (devices.length === 0) return
    if (attempt > detachTriesMax) throw new HubError('SERVICE_UNAVAILABLE', 'A loop device could not be detached')
    if (attempt > 1) await sleep(100)
    for (const device of devices) {
      // Partition nodes first, so that none outlives the device.
      await run(program.partx, ['-d', device], { okCodes: [0, 1] })
      await run(program.losetup, ['-d', device], { okCodes: [0, 1] })
    }
  }
}

/** @returns the loop device over the exported file */
const makeLoop = async (request: AttachRequest): Promise<string> => {
  // Direct I/O reads twice as fast, but over a writable FUSE export it gave one sector's data for another's (XFS log replay).
  const access = isWritable(request) ? ['--direct-io=off'] : ['--read-only', '--direct-io=on']
  const image = exportFile(request.runDir)
  return (await run(program.losetup, ['--partscan', ...access, '--find', '--show', image])).stdout.trim()
}

/** Starting the daemon takes longer than all that it is told; so there is always one that waits. */
const spareDelayMs = 120

export const userspace = (): AttachBackend => {
  let spare: Promise<StorageDaemon> | undefined
  let timer: NodeJS.Timeout | undefined
  const prepareSpare = () => {
    spare = StorageDaemon.start()
    spare.catch(() => undefined)
  }
  prepareSpare()
  const takeDaemon = async (request: AttachRequest): Promise<StorageDaemon> => {
    // What may write has a limit of its own.
    if (isWritable(request)) return StorageDaemon.start({ fileBytesMax: overlayBytesMax })
    const taken = spare
    spare = undefined
    clearTimeout(timer)
    // Later: now it would only slow down the mount that waits.
    timer = setTimeout(prepareSpare, spareDelayMs).unref()
    const daemon = await taken?.catch(() => undefined)
    return daemon && !daemon.process.hasEnded() ? daemon : StorageDaemon.start()
  }

  return {
    name: 'userspace',

    async attach(request, record): Promise<Attached> {
      const { runDir } = request
      const image = exportFile(runDir)
      const daemon = await takeDaemon(request)
      const { pid, startTicks } = daemon.process
      const known: AttachRecord = { backend: 'userspace', runDir, pid, startTicks, device: null }
      await record(known)
      const detach = async () => {
        await freeLoops(runDir)
        await daemon.process.stop(5_000)
        await unmount(image)
        await rm(image, { force: true })
      }
      try {
        await startExport(request, daemon)
      } catch (error) {
        // What this could not free is in the record.
        await detach().catch(() => undefined)
        throw error
      }
      let made: Promise<string> | undefined
      const device = () => {
        made ??= makeLoop(request).then(async (path) => {
          await record({ ...known, device: path })
          return path
        })
        return made
      }
      return {
        image,
        device,
        detach: () =>
          Promise.resolve(made)
            .catch(() => undefined)
            .then(detach),
      }
    },

    async undo({ runDir, pid, startTicks }) {
      await freeLoops(runDir)
      if (pid !== null && startTicks !== null) await killProven(pid, startTicks)
      await unmount(exportFile(runDir))
    },

    async close() {
      clearTimeout(timer)
      await (await spare?.catch(() => undefined))?.process.stop(5_000)
    },
  }
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
