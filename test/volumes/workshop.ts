/** Makes disks of all kinds, by the tools that guests make theirs with. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Partition } from '../../contract/api/restore.ts'
import { blankImage, sh, withLoop } from '../support/images.ts'
import { plant, type Tree, type TreeOptions, treeOn } from '../support/tree.ts'

export const mebibyte = 2 ** 20

/** How a filesystem is made. */
export type Maker = {
  /** As mount(8) calls it, or the tool that writes it without. */
  type: string
  tool: string
  args: string[]
  megabytes: number
  holds: TreeOptions
}
/** A filesystem in a file, and what is in it. */
export type Filesystem = { image: string; tree: Tree }
/** A volume that must be there: which one, and what it holds. */
export type Volume = { is: (partition: Partition) => boolean; tree: Tree }
/** The disks of a machine. */
export type Machine = { disks: string[]; volumes: Volume[]; secrets?: string[] }

const toolPath = (name: string) =>
  ['/usr/sbin', '/usr/bin'].map((folder) => join(folder, name)).find(existsSync) ?? name

/** Written without this kernel, by a driver or by tools. */
const withoutKernel = ['ntfs-3g', 'exfat-fuse', 'mtools']
/** Whether it can be written here. */
export const isKnown = (type: string): boolean => {
  if (withoutKernel.includes(type)) return true
  try {
    sh('/usr/sbin/modprobe', [type])
  } catch {
    // Built in, or not there.
  }
  return readFileSync('/proc/filesystems', 'utf8').split(/\s+/).includes(type)
}

export class Workshop {
  readonly #folder: string
  #number = 0

  /** @param folder that whoever has made it removes */
  constructor(folder: string) {
    this.#folder = folder
  }

  path(): string {
    return join(this.#folder, `image-${++this.#number}.raw`)
  }

  blank(megabytes: number): string {
    const path = this.path()
    blankImage(path, megabytes * mebibyte)
    return path
  }

  /** A folder of this host. */
  folder(fill: (root: string) => void): { folder: string; tree: Tree } {
    const folder = mkdtempSync(join(this.#folder, 'folder-'))
    fill(folder)
    return { folder, tree: treeOn(folder) }
  }

  /** A disk with a partition table, as sfdisk(8) reads it. */
  partitioned(megabytes: number, table: string): string {
    const path = this.blank(megabytes)
    sh('/usr/sbin/sfdisk', ['--quiet', '--no-tell-kernel', path], table)
    return path
  }

  /** @param more is done in it, before it is looked at */
  filesystem(
    { type, tool, args, megabytes, holds }: Maker,
    more: (root: string) => void = () => undefined,
  ): Filesystem {
    const image = this.blank(megabytes)
    if (type === 'mtools') {
      sh(toolPath(tool), [...args, image])
      const { folder, tree } = this.folder((root) => {
        plant(root, holds)
        more(root)
        evenSeconds(root)
      })
      // As FAT has it: times of nowhere, names as text.
      const copy = ['-i', image, '-s', '-m', ...readdirSync(folder).map((name) => join(folder, name)), '::']
      sh('/usr/bin/env', ['TZ=UTC', 'LC_ALL=C.UTF-8', '/usr/bin/mcopy', ...copy])
      return { image, tree }
    }
    const tree = withLoop(image, (device) => {
      sh(toolPath(tool), [...args, device])
      this.mounted(type, device, 'rw', (root) => {
        plant(root, holds)
        more(root)
      })
      return this.mounted(type, device, 'ro', treeOn)
    })
    return { image, tree }
  }

  mounted<T>(type: string, device: string, options: string, work: (root: string) => T): T {
    const root = mkdtempSync(join(this.#folder, 'mounted-'))
    // A btrfs is shown from its top, whatever it says is to be shown.
    const more = type === 'xfs' ? ',nouuid' : type === 'btrfs' ? ',subvolid=5' : ''
    sh('/usr/bin/mount', ['-t', type, '-o', `${options}${more}`, device, root])
    try {
      return work(root)
    } finally {
      sh('/usr/bin/umount', [root])
      rmdirSync(root)
    }
  }

  /** As the disk of a machine that runs would be found: what was written is in the journal, and not everywhere else. */
  pulledPlug({ type, tool, args, megabytes }: Maker): Filesystem {
    const live = this.blank(megabytes)
    const image = this.path()
    const tree = new Map<string, string>()
    withLoop(live, (device) => {
      sh(toolPath(tool), [...args, device])
      this.mounted(type, device, 'rw', (root) => {
        plant(root, { links: true, nameMax: 255, isDos: false })
        sh('/usr/bin/sync', ['--file-system', root])
        for (const [path, what] of treeOn(root)) tree.set(path, what)
        copyFileSync(live, image)
      })
    })
    return { image, tree }
  }

  /** Puts an image somewhere on a disk. @param offset in bytes */
  pour(image: string, disk: string, offset: number) {
    sh('/usr/bin/dd', [
      ...[`if=${image}`, `of=${disk}`, `seek=${offset}`, 'oflag=seek_bytes', 'conv=notrunc,sparse'],
      ...['bs=1M', 'status=none'],
    ])
  }
}

/** FAT keeps no others. */
const evenSeconds = (root: string) => {
  for (const name of readdirSync(root, { recursive: true }) as string[]) {
    const path = join(root, name)
    const seconds = Math.floor(statSync(path).mtimeMs / 2000) * 2
    utimesSync(path, seconds, seconds)
  }
}

export const megabytesOf = (image: string) => Math.ceil(statSync(image).size / mebibyte)
