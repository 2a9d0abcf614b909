/** Finds the system on a machine's volumes, what it calls itself, and where it mounts what. */
import type { GuestSystem } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { splitPath } from '../files/resolve.ts'
import type { VolumeReader } from '../files/volume-reader.ts'
import type { Volume } from '../volumes/volume.ts'
import { contentOf } from './content.ts'
import { Drives } from './drives.ts'
import { parseCrypttab, parseFstab, volumeOf } from './fstab.ts'
import { type GuestMount, GuestView } from './guest-view.ts'
import { findWindows } from './windows.ts'

/** The view's number among the volumes of its mount. */
export const guestNumber = 65_535

/** Larger than any file that is read here. */
const fileBytesMax = 256 * 1024
/** Where a system's root may lie on its volume: btrfs has it in a subvolume, named so by Debian, Ubuntu, Fedora and openSUSE. */
const rootFolders = ['', '/@', '/@rootfs', '/root']
/** A record of wtmp(5) on 64-bit Linux, and what of it says when the system began. */
const wtmpRecord = { bytes: 384, type: 0, seconds: 340, bootType: 2 }

type Readable = { volume: Volume; reader: VolumeReader }
type Root = Readable & { folder: string; fstab: string }

const bytesOf = async (reader: VolumeReader, path: string, fromEnd = false): Promise<Buffer | undefined> => {
  try {
    const { size, special, type } = await reader.info(Buffer.from(path))
    if (special || type !== 'file') return undefined
    const length = Math.min(size, fileBytesMax)
    return await contentOf(reader, Buffer.from(path), fromEnd ? size - length : 0, length)
  } catch (error) {
    // Links to nowhere are followed by nobody here, and a file that can not be read says nothing.
    if (error instanceof HubError) return undefined
    throw error
  }
}
const textOf = async (reader: VolumeReader, path: string) => (await bytesOf(reader, path))?.toString('utf8')

/** Through the symlinks that distributions have there: /etc/os-release leads to /usr/lib. */
const osRelease = async ({ reader, folder }: Root): Promise<string | undefined> =>
  (await textOf(reader, `${folder}/usr/lib/os-release`)) ?? (await textOf(reader, `${folder}/etc/os-release`))

const bootTime = (wtmp: Buffer | undefined): string | null => {
  const { bytes, type, seconds, bootType } = wtmpRecord
  const records = Math.floor((wtmp?.length ?? 0) / bytes)
  // Cut anywhere, its end is whole.
  const skip = (wtmp?.length ?? 0) % bytes
  for (let at = records - 1; at >= 0; at--) {
    const record = wtmp!.subarray(skip + at * bytes)
    if (record.readInt16LE(type) === bootType) return new Date(record.readUInt32LE(seconds) * 1000).toISOString()
  }
  return null
}

const findRoot = async (readable: readonly Readable[]): Promise<Root | undefined> => {
  for (const one of readable)
    for (const folder of rootFolders) {
      const fstab = await textOf(one.reader, `${folder}/etc/fstab`)
      if (fstab !== undefined && fstab.length > 0) return { ...one, folder, fstab }
    }
  return undefined
}

const describe = async (root: Root): Promise<GuestSystem> => {
  const { reader, folder } = root
  const release = await osRelease(root)
  const field = (name: string) => new RegExp(`^${name}=["']?(.*?)["']?$`, 'm').exec(release ?? '')?.[1]
  return {
    os: (field('PRETTY_NAME') ?? field('NAME'))?.slice(0, 255) ?? null,
    hostname: (await textOf(reader, `${folder}/etc/hostname`))?.trim().slice(0, 255) || null,
    booted_at: bootTime(await bytesOf(reader, `${folder}/var/log/wtmp`, true)),
  }
}

type Guest = { system: GuestSystem; view: GuestView; mountedAt: Map<number, string> }

/** @returns undefined when no system is found @param readable volumes that are mounted, with their readers */
export const openGuest = async (
  volumes: readonly Volume[],
  readable: readonly Readable[],
): Promise<Guest | undefined> => {
  const root = await findRoot(readable)
  return root ? openLinux(root, volumes, readable) : openWindows(readable)
}

const openLinux = async (root: Root, volumes: readonly Volume[], readable: readonly Readable[]): Promise<Guest> => {
  const crypttab = parseCrypttab((await textOf(root.reader, `${root.folder}/etc/crypttab`)) ?? '')
  const readers = new Map(readable.map(({ volume, reader }) => [volume.number, reader]))
  const mounts: GuestMount[] = [{ at: [], reader: root.reader, folder: partsOf(root.folder) }]
  const mountedAt = new Map([[root.volume.number, '/']])
  for (const { what, where, options } of parseFstab(root.fstab)) {
    const volume = volumeOf(what, { volumes, crypttab })
    const reader = volume && readers.get(volume.number)
    if (!reader || where === '/') continue
    const subvolume = options.find((option) => option.startsWith('subvol='))?.slice('subvol='.length) ?? ''
    mounts.push({ at: partsOf(where), reader, folder: partsOf(subvolume) })
    if (!mountedAt.has(volume.number)) mountedAt.set(volume.number, where)
  }
  return { system: await describe(root), view: new GuestView(mounts, guestNumber), mountedAt }
}

const openWindows = async (readable: readonly Readable[]): Promise<Guest | undefined> => {
  const windows = await findWindows(readable)
  if (!windows) return undefined
  const drives = [...windows.drives]
  const above = new Drives(new Map(drives.map(([letter, { reader }]) => [letter, reader])))
  const mounts: GuestMount[] = drives.map(([letter, { reader }]) => ({ at: partsOf(letter), reader, folder: [] }))
  return {
    system: windows.system,
    view: new GuestView([{ at: [], reader: above, folder: [] }, ...mounts], guestNumber),
    mountedAt: new Map(drives.map(([letter, { volume }]) => [volume.number, letter])),
  }
}

const partsOf = (path: string): Buffer[] => splitPath(Buffer.from(path.startsWith('/') ? path : `/${path}`))
