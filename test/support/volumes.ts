/** Volumes within volumes, made by their own tools on loop devices, and without the kernel's device mapper: what lies where is what the tools themselves say. */
import { createCipheriv } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sh, withLoop } from './images.ts'

/** Runs `work` with a block device for each image. */
export const withLoops = <T>(images: readonly string[], work: (devices: string[]) => T): T => {
  const next = (at: number, devices: string[]): T =>
    at === images.length ? work(devices) : withLoop(images[at]!, (device) => next(at + 1, [...devices, device]))
  return next(0, [])
}

const config = 'activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 } global { use_lvmpolld=0 }'
const blockBytes = 1024 * 1024

export class VolumeGroup {
  readonly #devices: readonly string[]
  readonly #name: string

  /** Made anew on these devices. */
  constructor(name: string, devices: readonly string[]) {
    this.#name = name
    this.#devices = devices
    this.#run('pvcreate', ['--yes', ...devices])
    this.#run('vgcreate', [name, ...devices])
  }

  /** @param more such as `-i 2` for stripes, or the devices that it is to lie on */
  add(volume: string, extents: number, more: string[] = []) {
    // Nothing is there that could be zeroed or wiped.
    const quiet = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n']
    this.#run('lvcreate', [...quiet, '--name', volume, '--extents', String(extents), this.#name, ...more])
  }
  extend(volume: string, extents: number, more: string[] = []) {
    this.#run('lvextend', ['--extents', `+${extents}`, `${this.#name}/${volume}`, ...more])
  }

  /** Writes an image into a volume, where the tools say that its pieces lie. */
  pour(volume: string, image: string) {
    const { report } = JSON.parse(
      this.#run('lvs', [
        ...['--reportformat', 'json', '--units', 'b', '--nosuffix', '--segments'],
        ...['--options', 'seg_start,seg_size,seg_pe_ranges,stripe_size,vg_extent_size', `${this.#name}/${volume}`],
      ]),
    ) as { report: { seg?: Segment[]; lv?: Segment[] }[] }
    const physical = JSON.parse(
      this.#run('pvs', ['--reportformat', 'json', '--units', 'b', '--nosuffix', '--options', 'pv_name,pe_start']),
    ) as { report: { pv: { pv_name: string; pe_start: string }[] }[] }
    const starts = new Map(physical.report[0]!.pv.map(({ pv_name, pe_start }) => [pv_name, Number(pe_start)]))
    const from = openSync(image, 'r')
    const length = fstatSync(from).size
    const devices = new Map(this.#devices.map((device) => [device, openSync(device, 'r+')]))
    try {
      for (const segment of report[0]!.seg ?? report[0]!.lv!) {
        const extent = Number(segment.vg_extent_size)
        const members = segment.seg_pe_ranges.split(' ').map((range) => {
          const [, device, first] = /^(.+):(\d+)-\d+$/.exec(range)!
          return { fd: devices.get(device!)!, at: starts.get(device!)! + Number(first) * extent }
        })
        const chunk = members.length > 1 ? Number(segment.stripe_size) : blockBytes
        const buffer = Buffer.alloc(chunk)
        const start = Number(segment.seg_start)
        for (let done = 0; done < Number(segment.seg_size) && start + done < length; done += chunk) {
          const read = readSync(from, buffer, 0, chunk, start + done)
          const row = done / chunk
          const { fd, at } = members[row % members.length]!
          writeSync(fd, buffer, 0, read, at + Math.floor(row / members.length) * chunk)
        }
      }
    } finally {
      for (const fd of [from, ...devices.values()]) closeSync(fd)
    }
  }

  /** What the group says of its volumes, in LVM's words, is put into others; the tools check them. */
  rewrite(change: (text: string) => string) {
    const folder = mkdtempSync(join(tmpdir(), 'sendense-group-'))
    const file = join(folder, 'group')
    try {
      this.#run('vgcfgbackup', ['--file', file, this.#name])
      writeFileSync(file, change(readFileSync(file, 'utf8')))
      this.#run('vgcfgrestore', ['--yes', '--force', '--file', file, this.#name])
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  #run(tool: string, args: string[]): string {
    return sh(`/usr/sbin/${tool}`, [
      ...['--quiet', '--devices', this.#devices.join(','), '--config', config],
      ...['--driverloaded', 'n', ...args],
    ])
  }
}
type Segment = {
  seg_start: string
  seg_size: string
  seg_pe_ranges: string
  stripe_size: string
  vg_extent_size: string
}

/** Encrypts an image where it lies, by the tool itself; its last 32 MiB make room for the header and are lost. */
export const encryptInPlace = (image: string, secret: string) =>
  sh(
    cryptsetup,
    [
      ...['reencrypt', '--encrypt', '--batch-mode', '--type', 'luks2', '--reduce-device-size', '32M'],
      ...['--pbkdf-memory', '65536', '--pbkdf-force-iterations', '4', '--key-file', '-', image],
    ],
    secret,
  )

/**
 * A LUKS volume in a file: its header by the tool, its sectors by OpenSSL's own AES-XTS, each by itself.
 * @param more of luksFormat
 */
export const encrypted = (image: string, plain: string, secret: string, more: string[]) => {
  const bytes = statSync(plain).size
  truncateSync(openedAnew(image), headerBytes + bytes)
  const quick = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
  const cipher = ['--cipher', 'aes-xts-plain64', '--key-size', '512', '--align-payload', String(headerBytes / 512)]
  sh(cryptsetup, ['luksFormat', '--batch-mode', ...quick, ...cipher, ...more, '--key-file', '-', image], secret)
  const dump = sh(cryptsetup, ['luksDump', '--batch-mode', '--dump-volume-key', '--key-file', '-', image], secret)
  const key = Buffer.from(dump.split('MK dump:')[1]!.replace(/\s/g, ''), 'hex')
  const [from, to] = [openSync(plain, 'r'), openSync(image, 'r+')]
  const sector = Buffer.alloc(sectorBytes)
  for (let at = 0; at < bytes; at += sectorBytes) {
    readSync(from, sector, 0, sectorBytes, at)
    const vector = Buffer.alloc(16)
    vector.writeBigUInt64LE(BigInt(at / sectorBytes))
    writeSync(
      to,
      createCipheriv(`aes-${key.length * 4}-xts`, key, vector).update(sector),
      0,
      sectorBytes,
      headerBytes + at,
    )
  }
  for (const fd of [from, to]) closeSync(fd)
}
const cryptsetup = '/usr/sbin/cryptsetup'
const headerBytes = 16 * 1024 * 1024
const sectorBytes = 512
const openedAnew = (image: string) => {
  closeSync(openSync(image, 'w'))
  return image
}
