/** Filesystems that a kernel mounts, that of a throw-away machine or, as far as an admin allows, that of the host; and with which options: the one table. */
import { mkdir, readFile, rmdir, stat } from 'node:fs/promises'
import type { HostFilesystem } from '../../contract/settings.ts'
import { program } from '../exec.ts'
import { type Run, ToolError } from '../run-tool.ts'
import { type Mounted, type NotMounted, ntfsIsDirty } from './mounted.ts'

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
const kinds: Record<HostFilesystem, Kind> = {
  ext2: { type: 'ext2', options: ['errors=continue'], withoutReplay: null },
  ext3: { type: 'ext3', ...kernelExt },
  ext4: { type: 'ext4', ...kernelExt },
  // nouuid: two restore points of one disk carry the same UUID.
  xfs: { type: 'xfs', options: ['nouuid'], withoutReplay: ['norecovery'] },
  // Its top, whatever subvolume is the default one: all of them are folders there, snapshots too.
  btrfs: { type: 'btrfs', options: ['subvolid=5'], withoutReplay: ['rescue=nologreplay'] },
  ntfs: { type: 'ntfs-3g', options: ['streams_interface=xattr'], withoutReplay: null },
  vfat: { type: 'vfat', options: ['utf8'], withoutReplay: null },
  exfat: { type: 'exfat', options: ['iocharset=utf8'], withoutReplay: null },
  iso9660: { type: 'iso9660', options: ['iocharset=utf8'], withoutReplay: null },
  udf: { type: 'udf', options: ['iocharset=utf8'], withoutReplay: null },
}

/** Longest time one mount may take: journals of large disks are replayed in seconds. */
const mountTimeoutMs = 60_000

const tryMount = async (run: Run, device: string, kind: Kind, path: string, extra: readonly string[]) => {
  const options = [...always, ...kind.options, ...extra].join(',')
  await run(program.mount, ['-t', kind.type, '-o', options, '--', device, path], { timeoutMs: mountTimeoutMs })
}

/** Why nobody can mount this at all; undefined when it can be tried. */
const refusalOf = async (device: string): Promise<string | undefined> => {
  const isDevice = await stat(device).then(
    (info) => info.isBlockDevice(),
    () => false,
  )
  return isDevice ? undefined : 'the partition lies outside the disk or overlaps another'
}
const kernelKnows = async (type: string): Promise<boolean> =>
  (await readFile('/proc/filesystems', 'utf8')).split('\n').some((line) => line.trim().split('\t').at(-1) === type)

/** Whether the kernel can mount it, after loading what is a module. */
export const kernelCanMount = async (run: Run, filesystem: HostFilesystem): Promise<boolean> => {
  const { type } = kinds[filesystem]
  if (type === 'ntfs-3g' || (await kernelKnows(type))) return true
  // By the name under which the kernel itself asks for it.
  await run(program.modprobe, ['--', `fs-${type}`]).catch(() => undefined)
  return kernelKnows(type)
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

/** Mounts one device read-only. @param run where the kernel is that does it */
export const mountByKernel = async (
  run: Run,
  device: string,
  filesystem: HostFilesystem,
  path: string,
  step: MountStep,
): Promise<Mounted | NotMounted> => {
  const kind = kinds[filesystem]
  const extra = step === 'without-journal' ? kind.withoutReplay : []
  if (extra === null) return { mounted: false, reason: 'damaged', remedy: null }
  const refused = await refusalOf(device)
  if (refused !== undefined) return { mounted: false, reason: refused, remedy: null }
  await mkdir(path, { recursive: true, mode: 0o700 })
  try {
    if (step === 'new-id') await run(program.btrfstune, ['-f', '-m', device])
    await tryMount(run, device, kind, path, extra)
  } catch (error) {
    // rmdir, never a recursive removal: a mount that came after all must not be emptied.
    await rmdir(path).catch(() => undefined)
    if (!(error instanceof ToolError)) return { mounted: false, reason: String(error), remedy: null }
    // Kernels before 6.7 take a btrfs for one that is mounted already when it has the same id, as all points of one disk have.
    const isTwin = kind.type === 'btrfs' && error.stderr.includes('File exists')
    const remedy = isTwin ? 'new-id' : kind.withoutReplay === null ? null : 'replay'
    return { mounted: false, reason: mountReason(error.stderr), remedy }
  }
  const isDirty = kind.type === 'ntfs-3g' && (await ntfsIsDirty(run, device))
  return { mounted: true, journal: isDirty ? 'not_replayed' : journalAfter[step] }
}

/** mount(8)'s own words, without the paths of this host. */
const mountReason = (stderr: string) =>
  `could not be mounted: ${(stderr.trim().split('\n')[0] ?? '').replace(/(mount: )?\/\S+:?\s*/g, '').slice(0, 200)}`
