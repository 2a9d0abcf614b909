/** With the kernel's nbd module: QEMU serves the disk at a socket, and nbd-client connects a /dev/nbdN to it. */
import { constants } from 'node:fs'
import { chmod, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { type Daemon, killProven, program, run, startDaemon } from '../exec.ts'
import { KeyedMutex } from '../mutex.ts'
import type { AttachBackend, Attached, AttachRecord } from './backend.ts'
import { type DiskServer, folderThere, startDiskServer, startDiskServerAsRoot } from './disk-server.ts'

const connectTimeoutMs = 15_000
const claims = new KeyedMutex()
/** Devices that an attach of ours is about to use. */
const claimed = new Set<string>()
/** Devices that lied after a connect: pinned by somebody, they answer with errors until the host is restarted. */
const quarantined = new Set<string>()

const sectors = (name: string) =>
  readFile(`/sys/block/${name}/size`, 'utf8').then(
    (text) => Number(text.trim()),
    () => -1,
  )
const hasOwner = (name: string) =>
  stat(`/sys/block/${name}/pid`).then(
    () => true,
    () => false,
  )

/** Free = no size, no owner, in no mount; an nbd node can be busy in more ways than its own `pid` tells. */
const claimFree = (limit: number): Promise<string> =>
  claims.run('nbd', async () => {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8')
    for (let number = 0; number < limit; number++) {
      const name = `nbd${number}`
      if (claimed.has(name) || quarantined.has(name) || mounts.includes(`/dev/${name}`)) continue
      if ((await sectors(name)) !== 0 || (await hasOwner(name))) continue
      claimed.add(name)
      return name
    }
    throw new HubError('RESTORE_SLOTS_EXHAUSTED', 'All NBD devices are in use')
  })

/**
 * Whether somebody else uses the device by now. Its `pid` names a thread of the process that connected it; when that one is gone,
 * nobody reads through it any more.
 */
const isForeign = async (device: string, ownPid: number | null): Promise<boolean> => {
  const thread = (await readFile(`/sys/block/${basename(device)}/pid`, 'utf8').catch(() => '')).trim()
  const status = await readFile(`/proc/${thread || 'none'}/status`, 'utf8').catch(() => '')
  const process = /^Tgid:\s*(\d+)/m.exec(status)?.[1]
  return process !== undefined && Number(process) !== ownPid
}

const disconnect = async (device: string) => {
  await run(program.partx, ['-d', device], { okCodes: [0, 1] })
  await run(program.nbdClient, ['-d', device], { okCodes: [0, 1] })
}

/** Reads the first sector: a connect can say yes and every read fail. */
const answers = async (device: string): Promise<boolean> => {
  try {
    const file = await open(device, 'r')
    try {
      return (await file.read(Buffer.alloc(512), 0, 512, 0)).bytesRead === 512
    } finally {
      await file.close()
    }
  } catch {
    return false
  }
}

/** A descriptor that only names a file, whatever kind it is of (open(2)). Node has no name for it; the number is that of x86 and ARM. */
const onlyNames = 0o10000000
/** QEMU makes the socket its own; an agent that may not override permissions would not come in. The folder is QEMU's, too: nothing there is followed. */
const letIn = async (socket: string): Promise<void> => {
  const handle = await open(socket, onlyNames | constants.O_NOFOLLOW)
  try {
    await chmod(`/proc/self/fd/${handle.fd}`, 0o666)
  } finally {
    await handle.close()
  }
}

const stopGraceMs = 5_000
const socketName = 'nbd.sock'

/**
 * @param devices how many of /dev/nbd0, 1, … belong to restores
 * @param isEnclosed whether this host can make a place for QEMU where it is nobody
 */
export const kernelNbd = (devices: number, isEnclosed: boolean): AttachBackend => ({
  name: 'kernel-nbd',

  async attach(request, record): Promise<Attached> {
    const { runDir, overlay, source } = request
    const isWritable = overlay === 'replay'
    const name = await claimFree(devices)
    const device = `/dev/${name}`
    const known: AttachRecord = { backend: 'kernel-nbd', runDir, pid: null, startTicks: null, device }
    const folder = join(runDir, 'answers')
    let server: DiskServer | undefined
    let client: Daemon | undefined
    const detach = async () => {
      if (client && !(await isForeign(device, client.pid))) await disconnect(device)
      await client?.stop(stopGraceMs)
      await server?.qemu.stop(stopGraceMs)
      await rm(folder, { recursive: true, force: true })
      claimed.delete(name)
    }
    try {
      await record(known)
      await mkdir(folder, { mode: 0o777 })
      await chmod(folder, 0o777)
      server = await (isEnclosed ? startDiskServer(request, { folder }) : startDiskServerAsRoot(request))
      await server.qemu.serve(server.node, join(isEnclosed ? folderThere : folder, socketName), isWritable)
      const socket = join(folder, socketName)
      await letIn(socket)
      client = await startDaemon(program.nbdClient, [
        ...['-unix', socket, device],
        ...['-name', server.node['node-name']],
        // In the foreground, and held by it alone: the device is free when it ends.
        '-nofork',
        '-nonetlink',
        ...(isWritable ? [] : ['-readonly']),
      ])
      await record({ ...known, pid: client.pid, startTicks: client.startTicks })
      const until = performance.now() + connectTimeoutMs
      while ((await sectors(name)) !== Math.floor(source.sizeBytes / 512)) {
        if (client.hasEnded()) throw new HubError('SERVICE_UNAVAILABLE', 'The disk could not be attached')
        if (performance.now() > until)
          throw new HubError('SERVICE_UNAVAILABLE', 'The disk could not be attached in time')
        await sleep(5)
      }
      if (!(await answers(device))) {
        quarantined.add(name)
        throw new HubError('SERVICE_UNAVAILABLE', 'The NBD device does not answer')
      }
      return { image: device, device: async () => device, detach }
    } catch (error) {
      // What this could not free is in the record.
      await detach().catch(() => undefined)
      throw error
    }
  },

  async undo({ pid, startTicks, device }) {
    if (device && !(await isForeign(device, pid))) await disconnect(device)
    if (pid !== null && startTicks !== null) await killProven(pid, startTicks)
  },
})

/** Whether this host has the tool and the module, loading that when it is there but not loaded. */
export const kernelNbdIsPossible = async (): Promise<boolean> => {
  const loaded = () =>
    stat('/sys/module/nbd').then(
      () => true,
      () => false,
    )
  if ((await stat(program.nbdClient).catch(() => undefined)) === undefined) return false
  if (await loaded()) return true
  await run(program.modprobe, ['nbd', 'max_part=16']).catch(() => undefined)
  return loaded()
}
