/** Makes real disk images: partition tables, filesystems, files with every odd name. */
import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const sh = (program: string, args: readonly string[], input?: string) =>
  execFileSync(program, [...args], {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(input === undefined ? {} : { input }),
  })

export const blankImage = (path: string, bytes: number) => {
  const fd = openSync(path, 'w')
  ftruncateSync(fd, bytes)
  closeSync(fd)
}

export type FilesystemKind = 'ext4' | 'xfs' | 'btrfs' | 'ntfs'
const makers: Record<FilesystemKind, (device: string) => [string, string[]]> = {
  // Many small files need more inodes than the default gives.
  ext4: (device) => ['/usr/sbin/mkfs.ext4', ['-q', '-F', '-i', '4096', '-L', 'ext4-label', device]],
  xfs: (device) => ['/usr/sbin/mkfs.xfs', ['-q', '-f', '-L', 'xfs-label', device]],
  btrfs: (device) => ['/usr/bin/mkfs.btrfs', ['-q', '-f', '-L', 'btrfs-label', device]],
  ntfs: (device) => ['/usr/sbin/mkfs.ntfs', ['-q', '-F', '-Q', '-L', 'ntfs-label', device]],
}
/** The least size that its mkfs takes. */
export const leastBytes: Record<FilesystemKind, number> = {
  ext4: 32 << 20,
  xfs: 320 << 20,
  btrfs: 128 << 20,
  ntfs: 16 << 20,
}

export const makeFilesystem = (kind: FilesystemKind, device: string) => {
  const [program, args] = makers[kind](device)
  sh(existsSync(program) ? program : program.replace('/usr/bin', '/usr/sbin').replace('/usr/sbin', '/sbin'), args)
}

/** Runs `work` with the image's block device and its partitions' nodes. @param more of losetup(8) */
export const withLoop = <T>(image: string, work: (device: string) => T, more: string[] = []): T => {
  const device = sh('/usr/sbin/losetup', ['--partscan', '--find', '--show', ...more, image]).trim()
  try {
    sh('/usr/bin/partx', ['-u', device])
  } catch {
    // No partition table: the device itself is meant.
  }
  try {
    return work(device)
  } finally {
    try {
      sh('/usr/bin/partx', ['-d', device])
    } catch {
      // It had none.
    }
    sh('/usr/sbin/losetup', ['-d', device])
  }
}

/** Runs `work` in the mounted filesystem. */
export const withMounted = <T>(kind: FilesystemKind, device: string, work: (folder: string) => T): T => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-mounted-'))
  sh('/usr/bin/mount', [
    '-t',
    kind === 'ntfs' ? 'ntfs-3g' : kind,
    '-o',
    kind === 'xfs' ? 'nouuid' : 'rw',
    device,
    folder,
  ])
  try {
    return work(folder)
  } finally {
    sh('/usr/bin/umount', [folder])
    rmdirSync(folder)
  }
}

/** A whole-disk filesystem with what `fill` puts in it. */
export const filesystemImage = (path: string, kind: FilesystemKind, bytes: number, fill: (folder: string) => void) => {
  blankImage(path, Math.max(bytes, leastBytes[kind]))
  withLoop(path, (device) => {
    makeFilesystem(kind, device)
    withMounted(kind, device, fill)
  })
}

/** Copies a raw image into an export with the stock tool. */
export const copyInto = (image: string, port: number, exportName: string) =>
  sh('/usr/bin/nbdcopy', ['--destination-is-zero', '--flush', '--', image, `nbd://127.0.0.1:${port}/${exportName}`])

export const ensureFolder = (path: string) => {
  mkdirSync(path, { recursive: true })
  return path
}
