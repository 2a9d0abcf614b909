/** Which filesystem is mounted by whom, and with which options: the one table. What is not in it is not mounted. */
import { mkdir, readFile, rmdir, stat } from 'node:fs/promises'
import { program, run, ToolError } from '../exec.ts'
import type { Volume } from './partitions.ts'

type Kind = {
  /** Type given to mount(8): never guessed. */
  type: string
  options: readonly string[]
  /** Added when the journal can not be replayed: what it holds is then missing. */
  withoutReplay: readonly string[] | null
}

/** Nothing of a guest is executed, no device node of it is one here, and no metadata asks for a panic. */
const always = ['ro', 'nosuid', 'nodev', 'noexec', 'noatime']
const kernelExt = { options: ['errors=continue'], withoutReplay: ['noload'] }
const kinds: Record<string, Kind> = {
  ext2: { type: 'ext2', options: ['errors=continue'], withoutReplay: null },
  ext3: { type: 'ext3', ...kernelExt },
  ext4: { type: 'ext4', ...kernelExt },
  // nouuid: two restore points of one disk carry the same UUID.
  xfs: { type: 'xfs', options: ['nouuid'], withoutReplay: ['norecovery'] },
  btrfs: { type: 'btrfs', options: [], withoutReplay: ['rescue=nologreplay'] },
  ntfs: { type: 'ntfs-3g', options: ['streams_interface=none'], withoutReplay: null },
}

const notMountable: Record<string, string> = {
  LVM2_member: 'an LVM physical volume; logical volumes are not opened yet',
  crypto_LUKS: 'encrypted with LUKS; it is not opened yet',
  BitLocker: 'encrypted with BitLocker; it is not opened yet',
  linux_raid_member: 'a member of a software RAID; it is not assembled yet',
  swap: 'swap space holds no files',
}

export type Mounted = { mounted: true; journal: 'clean' | 'replayed' | 'not_replayed' }
/** `remedy`: the step on a writable overlay that may help. */
export type NotMounted = { mounted: false; reason: string; remedy: 'replay' | 'new-id' | null }

/** Longest time one mount may take: journals of large disks are replayed in seconds. */
const mountTimeoutMs = 60_000

const tryMount = async (volume: Volume, kind: Kind, path: string, extra: readonly string[]) => {
  const options = [...always, ...kind.options, ...extra].join(',')
  await run(program.mount, ['-t', kind.type, '-o', options, '--', volume.device, path], { timeoutMs: mountTimeoutMs })
}

/** NTFS's own mark that it was not shut down cleanly; its log is never replayed by ntfs-3g. */
const ntfsIsDirty = async (device: string) => {
  const { stdout } = await run(program.ntfsinfo, ['--mft', '--force', device], { okCodes: [0, 1] }).catch(() => ({
    stdout: '',
  }))
  return /Volume Flags:.*DIRTY/.test(stdout)
}

/** Why a volume is not mounted at all; undefined when it can be tried. */
export const refusal = async (volume: Volume): Promise<string | undefined> => {
  const { filesystem } = volume
  if (filesystem === null) return 'no known filesystem'
  const kind = kinds[filesystem]
  if (!kind) return notMountable[filesystem] ?? `${filesystem} is not supported`
  if (
    !(await stat(volume.device).then(
      (info) => info.isBlockDevice(),
      () => false,
    ))
  )
    return 'the partition lies outside the disk or overlaps another'
  if (kind.type === 'ntfs-3g') return undefined
  const known = await readFile('/proc/filesystems', 'utf8')
  if (known.split('\n').some((line) => line.trim() === kind.type)) return undefined
  await run(program.modprobe, ['--', kind.type]).catch(() => undefined)
  const now = await readFile('/proc/filesystems', 'utf8')
  return now.split('\n').some((line) => line.trim() === kind.type)
    ? undefined
    : `the kernel of this host has no ${kind.type}`
}

/**
 * On a writable overlay: `replay` the journal, or give the filesystem a `new-id`. On that overlay afterwards: `replayed`.
 * `without-journal` leaves out what it holds.
 */
export type MountStep = 'plain' | 'replay' | 'new-id' | 'replayed' | 'without-journal'
const journalAfter = {
  plain: 'clean',
  'new-id': 'clean',
  replay: 'replayed',
  replayed: 'replayed',
  'without-journal': 'not_replayed',
} as const

/** Mounts one volume read-only. */
export const mountVolume = async (volume: Volume, path: string, step: MountStep): Promise<Mounted | NotMounted> => {
  const kind = kinds[volume.filesystem ?? '']
  if (!kind) return { mounted: false, reason: 'not supported', remedy: null }
  const extra = step === 'without-journal' ? kind.withoutReplay : []
  if (extra === null) return { mounted: false, reason: 'damaged', remedy: null }
  await mkdir(path, { recursive: true, mode: 0o700 })
  try {
    if (step === 'new-id') await run(program.btrfstune, ['-f', '-m', volume.device])
    await tryMount(volume, kind, path, extra)
  } catch (error) {
    // rmdir, never a recursive removal: a mount that came after all must not be emptied.
    await rmdir(path).catch(() => undefined)
    if (!(error instanceof ToolError)) return { mounted: false, reason: String(error), remedy: null }
    // Kernels before 6.7 take a btrfs for one that is mounted already when it has the same id, as all points of one disk have.
    const isTwin = kind.type === 'btrfs' && error.stderr.includes('File exists')
    const remedy = isTwin ? 'new-id' : kind.withoutReplay === null ? null : 'replay'
    return { mounted: false, reason: mountReason(error.stderr), remedy }
  }
  if (kind.type === 'ntfs-3g')
    return { mounted: true, journal: (await ntfsIsDirty(volume.device)) ? 'not_replayed' : 'clean' }
  return { mounted: true, journal: journalAfter[step] }
}

/** mount(8)'s own words, without the paths of this host. */
const mountReason = (stderr: string) =>
  `could not be mounted: ${(stderr.trim().split('\n')[0] ?? '').replace(/(mount: )?\/\S+:?\s*/g, '').slice(0, 200)}`
