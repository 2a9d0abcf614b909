/** What came of mounting a volume, whoever did it; and what never can be mounted. */
import type { Partition } from '../../contract/api/restore.ts'
import type { Run } from '../run-tool.ts'

export type Mounted = { mounted: true; journal: NonNullable<Partition['journal']> }
/** `remedy`: the step on a writable overlay that may help. */
export type NotMounted = { mounted: false; reason: string; remedy: 'replay' | 'new-id' | null }

const notMountable: Record<string, string> = {
  swap: 'swap space holds no files',
}
/** Why a filesystem that nobody here can mount is not mounted. */
export const whyNotMountable = (filesystem: string | null): string =>
  filesystem === null ? 'no known filesystem' : (notMountable[filesystem] ?? `${filesystem} is not supported`)

const ntfsinfo = '/usr/bin/ntfsinfo'
/** NTFS's own mark that it was not shut down cleanly; its log is never replayed by ntfs-3g. */
export const ntfsIsDirty = async (run: Run, device: string): Promise<boolean> => {
  const { stdout } = await run(ntfsinfo, ['--mft', '--force', device], { okCodes: [0, 1] }).catch(() => ({
    stdout: '',
  }))
  return /Volume Flags:.*DIRTY/.test(stdout)
}
