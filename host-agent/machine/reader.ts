/**
 * The first process of a throw-away machine: its kernel mounts volumes of a guest, and the files are served over the line to the agent. It ends with that line, and the
 * machine with it.
 */
import { createReadStream, createWriteStream, openSync, readSync, writeSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http2'
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HostFilesystem, hostFilesystems } from '../../contract/settings.ts'
import { program } from '../exec.ts'
import { warmUpFolderThreads } from '../files/folder-threads.ts'
import { runHere } from '../run-tool.ts'
import { answering } from '../sandbox/reader-answers.ts'
import { mountByKernel } from '../volumes/kernel-mounts.ts'
import { diskName, readerPort, ready } from './inside.ts'

const ports = '/sys/class/virtio-ports'
const scsiDisks = '/sys/class/scsi_disk'
/** A disk that was plugged in is seen a moment later; on an emulated processor that is a long one. */
const diskTimeoutMs = 20_000
const pollMs = 5
/** What may be under way to the agent, in bytes. */
const chunkBytes = 256 * 1024

/** Waits until the agent begins: whatever is loaded and compiled by then is part of a saved state. */
const openLine = async (): Promise<Duplex> => {
  for (const port of await readdir(ports)) {
    const name = await readFile(`${ports}/${port}/name`, 'utf8').catch(() => '')
    if (name.trim() !== readerPort) continue
    const fd = openSync(`/dev/${port}`, 'r+')
    writeSync(fd, ready)
    readSync(fd, Buffer.alloc(1))
    return Duplex.from({
      readable: createReadStream('', { fd, autoClose: false, highWaterMark: chunkBytes }),
      writable: createWriteStream('', { fd, autoClose: false, highWaterMark: chunkBytes }),
    })
  }
  throw new Error('there is no line to the agent')
}

/** The kernel tells of a disk before it lets anybody open it (block/genhd.c, device_add_disk). */
const canBeOpened = async (device: string): Promise<boolean> => {
  try {
    await (await open(device)).close()
    return true
  } catch {
    return false
  }
}
/** @param image as diskName gives it */
const deviceOf = async (image: string): Promise<string> => {
  for (const until = performance.now() + diskTimeoutMs; performance.now() < until; await sleep(pollMs))
    for (const address of await readdir(scsiDisks).catch(() => [])) {
      const [, , at] = address.split(':')
      if (diskName(Number(at)) !== image) continue
      const [device] = await readdir(`${scsiDisks}/${address}/device/block`).catch(() => [])
      if (device !== undefined && (await canBeOpened(`/dev/${device}`))) return `/dev/${device}`
    }
  throw new Error(`${image} did not appear`)
}

const isKnown = (filesystem: string): filesystem is HostFilesystem =>
  (hostFilesystems as readonly string[]).includes(filesystem)

const serve = answering(
  async ({ image, filesystem, step }, path) =>
    isKnown(filesystem)
      ? mountByKernel(runHere, image, filesystem, path, step)
      : { mounted: false, reason: `${filesystem} is not supported`, remedy: null },
  deviceOf,
  { '/hello': async () => ({}) },
)

const server = createServer(
  { settings: { initialWindowSize: 1024 ** 2 } },
  (request, response) => void serve(request, response),
)
server.on('sessionError', () => process.exit(1))
// What the kernel would do when it is first asked to mount one, and is not done again by whoever goes on from here.
await runHere(program.modprobe, ['-a', '-q', ...hostFilesystems.map((name) => `fs-${name}`)], { okCodes: [0, 1] })
// Elsewhere loaded by the first archive; here that would take half a second.
await import('../files/archive.ts')
warmUpFolderThreads()
const line = await openLine()
line.once('close', () => process.exit(0))
server.emit('connection', line)
