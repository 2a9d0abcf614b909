/** Without the nbd module: qemu-storage-daemon shows the disk as a file through FUSE, and a loop device over it makes it a disk. */
import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { type Daemon, killProven, program, run, startDaemon } from '../exec.ts'
import { firstHandedFd } from '../run-tool.ts'
import type { AttachBackend, Attached, AttachRecord, AttachRequest } from './backend.ts'
import { sessionThere, startDiskServer, startDiskServerAsRoot } from './disk-server.ts'
import { isMounted, unmount } from './mount-table.ts'
import type { StorageDaemon } from './storage-daemon.ts'

/** Hears of QEMU before it is told anything. */
type OnStart = (qemu: StorageDaemon) => Promise<void>

const exportFile = (runDir: string) => join(runDir, 'disk.raw')
const isWritable = ({ overlay }: AttachRequest) => overlay === 'replay'

/**
 * Makes the exported file the root of a FUSE filesystem that whoever holds the session answers for; root alone may look at it.
 * No `default_permissions`: the file is its answerer's, and an agent that may not override permissions would not come in.
 */
const startMount = (session: FileHandle, image: string): Promise<Daemon> => {
  const options = `fd=${firstHandedFd},rootmode=100000,user_id=0,group_id=0`
  // -i: no helper of FUSE's, which would want to mount by itself.
  const args = ['-i', '-t', 'fuse', '-o', options, '--', 'sendense', image]
  return startDaemon(program.mount, args, { fds: [session.fd] })
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

/** @throws CHAIN_BROKEN in QEMU's own words */
const showEnclosed = async (request: AttachRequest, onStart: OnStart) => {
  const session = await open('/dev/fuse', 'r+')
  try {
    const { qemu, node } = await startDiskServer(request, { session })
    await onStart(qemu)
    const image = exportFile(request.runDir)
    const mount = await startMount(session, image)
    // Not its end: mount(8) may look at what it has mounted, and is answered once QEMU has been told.
    while (!mount.hasEnded() && !(await isMounted(image))) await sleep(1)
    if (await isMounted(image)) await qemu.show(node, sessionThere, isWritable(request))
    const { exitCode, stderr } = await mount.ended
    if (exitCode !== 0) throw new Error(`the disk could not be shown: ${stderr.trim()}`)
  } finally {
    // With QEMU's own the session ends: whoever reads then gets an error, and does not wait for ever.
    await session.close()
  }
}
const showAsRoot = async (request: AttachRequest, onStart: OnStart) => {
  const { qemu, node } = await startDiskServerAsRoot(request)
  await onStart(qemu)
  await qemu.show(node, exportFile(request.runDir), isWritable(request))
}

const stopGraceMs = 5_000

/** @param isEnclosed whether this host can make a place for QEMU where it is nobody */
export const userspace = (isEnclosed: boolean): AttachBackend => ({
  name: 'userspace',

  async attach(request, record): Promise<Attached> {
    const { runDir } = request
    const image = exportFile(runDir)
    let known: AttachRecord = { backend: 'userspace', runDir, pid: null, startTicks: null, device: null }
    let daemon: StorageDaemon | undefined
    const detach = async () => {
      await freeLoops(runDir)
      await daemon?.stop(stopGraceMs)
      await unmount(image)
      await rm(image, { force: true })
    }
    const onStart = (qemu: StorageDaemon) => {
      daemon = qemu
      const { pid, startTicks } = qemu.process
      known = { ...known, pid, startTicks }
      return record(known)
    }
    try {
      await (await open(image, 'w', 0o600)).close()
      await (isEnclosed ? showEnclosed : showAsRoot)(request, onStart)
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
})

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
