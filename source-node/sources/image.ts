/**
 * Source kind `image`: a folder whose folders are VMs, and whose files (or links to block devices) are their disks, in the order of
 * their names. There is no snapshot: a disk that changes while it is read fails the backup instead of giving a torn one.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, open, readdir, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, extname, join } from 'node:path'
import type { InventoryVm } from '../../contract/api/inventory.ts'
import { HubError } from '../../contract/errors.ts'
import { NbdClient } from '../../nbd/client.ts'
import { run, startChild } from '../exec.ts'
import { BlockMaps } from '../mover/block-maps.ts'
import { copyChanged } from '../mover/copy-changed.ts'
import { copyWhole } from '../mover/copy-whole.ts'
import { hashInBackground } from '../mover/hash-in-background.ts'
import type { OpenVm, Source, SourceDisk } from './source.ts'

type Format = 'raw' | 'qcow2'
type Image = { path: string; format: Format; isDevice: boolean; size: number }

const formats: Record<string, Format> = { '.raw': 'raw', '.img': 'raw', '.qcow2': 'qcow2' }
const sectorBytes = 512
const disksMax = 64

/** Size in bytes that a guest sees, a whole number of sectors. */
const sizeOf = async (path: string, format: Format, isDevice: boolean): Promise<number> => {
  if (format === 'qcow2') {
    const { stdout } = await run('/usr/bin/qemu-img', ['info', '--output=json', '-f', 'qcow2', '--', path])
    return Number((JSON.parse(stdout) as { 'virtual-size': number })['virtual-size'])
  }
  if (isDevice) return Number((await run('/usr/sbin/blockdev', ['--getsize64', path])).stdout.trim())
  return Math.ceil((await stat(path)).size / sectorBytes) * sectorBytes
}

const readImages = async (folder: string): Promise<Image[]> => {
  const names = (await readdir(folder)).filter((name) => formats[extname(name)] !== undefined).sort()
  const images: Image[] = []
  for (const name of names.slice(0, disksMax)) {
    const path = await realpath(join(folder, name))
    const info = await stat(path)
    const isDevice = info.isBlockDevice()
    if (!isDevice && !info.isFile()) continue
    const format = formats[extname(name)]!
    images.push({ path, format, isDevice, size: await sizeOf(path, format, isDevice) })
  }
  return images
}

/** What changes when a file is written: a copy between two equal fingerprints is a copy of one state. */
const fingerprint = async ({ path, isDevice }: Image): Promise<string> => {
  if (isDevice) return 'device'
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
}

const changedMeanwhile = (image: Image) =>
  new Error(`${basename(image.path)} was written while it was read; stop the VM or give the node a snapshot`)

/** Reads through a QEMU of our own, which alone understands the format. */
const openQcow2 = async (image: Image, signal: AbortSignal) => {
  const folder = await mkdtemp(join(tmpdir(), 'sendense-node-'))
  const socketPath = join(folder, 'nbd.sock')
  const server = startChild(
    '/usr/bin/qemu-nbd',
    ['--read-only', '--persistent', '--shared=4', '--format=qcow2', `--socket=${socketPath}`, '--', image.path],
    signal,
  )
  const close = async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    // The socket's file is there a moment before anybody listens on it.
    const client = await server.until(() => NbdClient.connect({ socketPath, exportName: '' }).catch(() => undefined))
    return {
      read: (offset: number, length: number) => client.read(offset, length),
      close: async () => {
        client.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

const openRaw = async (image: Image) => {
  const file = await open(image.path, 'r')
  return {
    read: async (offset: number, length: number) => {
      const buffer = Buffer.allocUnsafe(length)
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled)
        // The last sector of a file may be cut; what is missing reads as zeros, as QEMU has it.
        if (bytesRead === 0) return buffer.fill(0, filled)
        filled += bytesRead
      }
      return buffer
    },
    close: () => file.close(),
  }
}

const imageDisk = (index: number, image: Image, maps: BlockMaps): SourceDisk => ({
  index,
  size: image.size,
  async copy(target, since, isIncremental, progress, signal) {
    const before = await fingerprint(image)
    const known = since === null ? undefined : await maps.open(since, image.size)
    if (!isIncremental && image.format === 'raw' && !image.isDevice) {
      // A file that does not change can be hashed beside the copy; the stock tool reads it faster than we could.
      const hashing = hashInBackground(image.path, image.size, signal)
      hashing.catch(() => undefined)
      const bytesTransferred = await copyWhole(image.path, image.size, target, progress, signal)
      const map = await hashing
      if ((await fingerprint(image)) !== before) throw changedMeanwhile(image)
      return { changeId: await maps.keep(map, image.size), bytesTransferred }
    }
    const source = image.format === 'qcow2' ? await openQcow2(image, signal) : await openRaw(image)
    try {
      const { map, bytesTransferred } = await copyChanged({
        source,
        size: image.size,
        target,
        known,
        isIncremental,
        progress,
        signal,
      })
      if ((await fingerprint(image)) !== before) throw changedMeanwhile(image)
      return { changeId: await maps.keep(map, image.size), bytesTransferred }
    } finally {
      await source.close()
    }
  },
})

/**
 * @param host as the credential names it, e.g. `image:lab`
 * @param folder its folders are the VMs
 */
export const imageSource = (host: string, folder: string, stateDir: string): Source => {
  const vmNames = async () => {
    const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
      throw new HubError('DISCOVERY_FAILED', `The folder of ${host} can not be read`, {
        details: (cause as NodeJS.ErrnoException).code ?? '',
        cause,
      })
    })
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort()
  }
  const pathOf = (name: string) => `/${host.slice(host.indexOf(':') + 1)}/${name}`

  return {
    async discover(filter) {
      const vms: InventoryVm[] = []
      for (const name of await vmNames()) {
        if (filter !== undefined && !name.toLowerCase().includes(filter.toLowerCase())) continue
        const images = await readImages(join(folder, name))
        vms.push({
          id: `image-${createHash('sha256').update(`${host}\0${name}`).digest('hex').slice(0, 24)}`,
          name,
          path: pathOf(name),
          datacenter: 'images',
          power_state: 'poweredOff',
          disks: images.map((image, at) => ({
            id: basename(image.path),
            label: `Disk ${at}`,
            path: image.path,
            vmdk_path: image.path,
            size_gb: Math.round((image.size / 2 ** 30) * 1000) / 1000,
            capacity_bytes: image.size,
            datastore: folder,
            provisioning_type: image.isDevice ? 'device' : image.format,
            unit_number: at,
          })),
          networks: [],
        })
      }
      return vms
    },

    async open(vm): Promise<OpenVm> {
      const name =
        (await vmNames()).find((known) => pathOf(known) === vm.path) ??
        (await vmNames()).find((known) => known === vm.name)
      if (name === undefined) throw new Error(`${host} has no VM ${vm.name}`)
      const images = await readImages(join(folder, name))
      const maps = new BlockMaps(join(stateDir, 'block-maps'))
      return { disks: images.map((image, index) => imageDisk(index, image, maps)), close: async () => undefined }
    },
  }
}
