/**
 * Filesystems that are read by a driver of their own in a sandbox: a process without any right on the host, over an image that is a plain file there.
 * A driver stays in the foreground, so that its end is seen.
 */
import { readFileSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { runHere, serveHere } from '../run-tool.ts'
import { type Mounted, type NotMounted, ntfsIsDirty } from './mounted.ts'

/** Arguments that read ext2, ext3 and ext4. */
export const fuse2fs = (image: string, path: string): string[] => [
  '/usr/bin/fuse2fs',
  '-f',
  // Nothing changes under it: the kernel may keep what it was told.
  '-o',
  'ro,no_default_opts,kernel_cache,use_ino,attr_timeout=86400,entry_timeout=86400,negative_timeout=86400',
  image,
  path,
]
const ntfs3g = (image: string, path: string): string[] => [
  '/usr/bin/ntfs-3g',
  '-o',
  'ro,no_detach,streams_interface=xattr',
  image,
  path,
]
const drivers: Record<string, (image: string, path: string) => string[]> = {
  ext2: fuse2fs,
  ext3: fuse2fs,
  ext4: fuse2fs,
  ntfs: ntfs3g,
}
export const hasDriver = (filesystem: string | null): filesystem is string =>
  filesystem !== null && Object.hasOwn(drivers, filesystem)

const e2fsck = '/usr/sbin/e2fsck'
const prlimit = '/usr/bin/prlimit'
/** A driver that writes to more memory than this is told that there is none, in bytes. */
const memoryMax = 1024 ** 3
const mountTimeoutMs = 30_000
const pollMs = 2

/** `needs_recovery` of ext3 and ext4: a bit of the features that not every driver may ignore (linux/fs/ext4/ext4.h). */
const journalIsDirty = async (image: string): Promise<boolean> => {
  const file = await open(image, 'r')
  try {
    const superblock = Buffer.alloc(0x64)
    await file.read(superblock, 0, superblock.length, 1024)
    return (superblock.readUInt32LE(0x60) & 0x4) !== 0
  } finally {
    await file.close()
  }
}

/** Read at once: the kernel has it in memory, and a thread's way there and back takes five times as long, for each driver that is waited for. */
const isMounted = (path: string) => readFileSync('/proc/self/mountinfo', 'latin1').includes(` ${path} `)

/** `replay`: the image may be written, and its journal is replayed first. `without-journal`: what the journal holds is left out. */
export type DriverStep = 'plain' | 'replay' | 'without-journal'

const serve = async (filesystem: string, image: string, path: string, onEnd: (why: string) => void): Promise<void> => {
  let ended: string | undefined
  const limited = [`--data=${memoryMax}`, '--core=0', '--', ...drivers[filesystem]!(image, path)]
  const driver = serveHere(prlimit, limited, (why) => {
    ended = `the ${filesystem} driver was ${why}`
    onEnd(ended)
  })
  for (const until = performance.now() + mountTimeoutMs; !isMounted(path); await sleep(pollMs)) {
    if (ended !== undefined) throw new Error(driver.stderr().split('\n').at(-1) || ended)
    if (performance.now() < until) continue
    driver.kill()
    throw new Error('the driver did not answer in time')
  }
}

/**
 * Mounts one image read-only.
 * @param onEnd called when its driver has ended, with the reason; until then it serves
 */
export const mountByDriver = async (
  { filesystem, image, path, step }: { filesystem: string; image: string; path: string; step: DriverStep },
  onEnd: (why: string) => void,
): Promise<Mounted | NotMounted> => {
  const isExt = filesystem !== 'ntfs'
  try {
    // 1 = errors were corrected, 2 = so much that a root filesystem would need a reboot.
    if (step === 'replay') await runHere(e2fsck, ['-E', 'journal_only', '-p', image], { okCodes: [0, 1, 2, 3] })
    const isDirty = isExt ? await journalIsDirty(image) : await ntfsIsDirty(runHere, image)
    if (isExt && isDirty && step !== 'without-journal')
      return { mounted: false, reason: 'its journal could not be replayed', remedy: step === 'plain' ? 'replay' : null }
    await mkdir(path, { recursive: true })
    await serve(filesystem, image, path, onEnd)
    return { mounted: true, journal: isDirty ? 'not_replayed' : step === 'replay' ? 'replayed' : 'clean' }
  } catch (error) {
    return { mounted: false, reason: `could not be mounted: ${(error as Error).message.slice(0, 200)}`, remedy: null }
  }
}
