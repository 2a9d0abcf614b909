/** A filesystem whose every write to its disk is logged (QEMU's blklogwrites), and disks as a power cut would have left them. */
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { StorageDaemon } from '../../../host-agent/attach/storage-daemon.ts'
import type { Random } from '../../support/damage.ts'
import { blankImage, sh } from '../../support/images.ts'

const sector = 512
/** Flags of an entry, as dm-log-writes of the kernel has them, whose format this is. */
const [isFlush, isDiscard] = [1, 4]

type Entry = { offset: number; length: number; flush: boolean; data: Buffer | null }

export type LoggedDisk = {
  /** How many entries the log has now. */
  position: () => number
  /** Ends the logging; the filesystem is not mounted any more. */
  end: () => Promise<void>
  /**
   * Mounts at the same place what the disk held after a power cut: all that was written before the last flush ahead of `position`,
   * and of what came after it, as disks do, any part.
   */
  whileCut: <T>(position: number, random: Random, work: () => Promise<T>) => Promise<T>
}

/** Mounts an ext4 of `bytes` at `mountPoint`. @param folder for disk and log; not below the mount point */
export const openLoggedDisk = async (folder: string, mountPoint: string, bytes: number): Promise<LoggedDisk> => {
  mkdirSync(folder)
  const [disk, base, log, shown] = ['disk', 'base', 'log', 'shown'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  blankImage(disk, bytes)
  sh('/usr/sbin/mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', disk])
  copyFileSync(disk, base)
  for (const path of [log, shown]) writeFileSync(path, '')
  const daemon = await StorageDaemon.start()
  await daemon.execute('blockdev-add', {
    driver: 'blklogwrites',
    'node-name': 'disk',
    file: { driver: 'file', filename: disk },
    log: { driver: 'file', filename: log },
    'log-sector-size': sector,
    'log-super-update-interval': 1,
  })
  await daemon.execute('block-export-add', {
    type: 'fuse',
    id: 'export',
    'node-name': 'disk',
    mountpoint: shown,
    writable: true,
  })
  const attach = (path: string) => sh('/usr/sbin/losetup', ['--direct-io=off', '--find', '--show', path]).trim()
  const loop = attach(shown)
  sh('/usr/bin/mount', ['-t', 'ext4', loop, mountPoint])
  let entries: Entry[] = []

  return {
    position: () => Number(readFileSync(log).readBigUInt64LE(16)),
    end: async () => {
      sh('/usr/bin/umount', [mountPoint])
      sh('/usr/sbin/losetup', ['-d', loop])
      await daemon.process.stop(5_000)
      entries = readLog(readFileSync(log))
    },
    whileCut: async (position, random, work) => {
      const cut = join(folder, 'cut')
      copyFileSync(base, cut)
      const fd = openSync(cut, 'r+')
      const done = entries.slice(0, position)
      const flushed = done.findLastIndex(({ flush }) => flush)
      // Nothing of what was not flushed, all of it, or each write by chance.
      const fate = random(3)
      for (const [at, { offset, length, data }] of done.entries()) {
        if (at > flushed && (fate === 0 || (fate === 1 && random(2) === 0))) continue
        writeSync(fd, data ?? Buffer.alloc(length), 0, length, offset)
      }
      closeSync(fd)
      const cutLoop = attach(cut)
      sh('/usr/bin/mount', ['-t', 'ext4', cutLoop, mountPoint])
      try {
        return await work()
      } finally {
        sh('/usr/bin/umount', [mountPoint])
        sh('/usr/sbin/losetup', ['-d', cutLoop])
      }
    },
  }
}

const readLog = (log: Buffer): Entry[] => {
  const count = Number(log.readBigUInt64LE(16))
  const entries: Entry[] = []
  let at = sector
  for (let number = 0; number < count; number++) {
    const [first, sectors, flags] = [0, 8, 16].map((field) => Number(log.readBigUInt64LE(at + field))) as [
      number,
      number,
      number,
    ]
    at += sector
    const hasData = (flags & isDiscard) === 0
    const length = sectors * sector
    entries.push({
      offset: first * sector,
      length,
      flush: (flags & isFlush) !== 0,
      data: hasData ? log.subarray(at, at + length) : null,
    })
    if (hasData) at += length
  }
  return entries
}
