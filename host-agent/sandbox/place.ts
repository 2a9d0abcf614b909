/** What bubblewrap is told to make for processes that look at a guest's disk: a place in which nothing of the host is to be seen but programs. */
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { program } from '../exec.ts'
import { systemCallFilter } from './system-calls.ts'

/** bubblewrap reads from an open file which system calls those within may make. @param file to keep that in */
export const openFilter = async (file: string): Promise<FileHandle> => {
  await writeFile(file, systemCallFilter())
  return open(file, 'r')
}

/**
 * @param filter descriptor of an open filter
 * @param folders made there, besides those of the system: bubblewrap makes by itself what is root's alone
 */
export const emptyPlace = (filter: number, folders: readonly string[]): string[] => [
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--die-with-parent',
  '--new-session',
  ...['--seccomp', String(filter)],
  // Root builds the place, and may then do nothing but become somebody else.
  ...['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID', '--cap-add', 'CAP_SETPCAP'],
  ...folders.flatMap((path) => ['--dir', path]),
  ...['--ro-bind', '/usr', '/usr'],
  ...['bin', 'sbin', 'lib', 'lib64'].flatMap((name) => ['--symlink', `usr/${name}`, `/${name}`]),
  ...['--ro-bind-try', '/etc/ld.so.cache', '/etc/ld.so.cache'],
  ...['--proc', '/proc'],
]

/** Becomes somebody in such a place, for good. */
export const becomingThere = ({ uid, gid }: { uid: number; gid: number }): string[] => [
  ...[program.setpriv, `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'],
  ...['--inh-caps=-all', '--bounding-set=-all', '--'],
]
/** Asked for last: whoever becomes somebody else forgets it. */
export const dyingWithParent = [program.setpriv, '--pdeathsig', 'KILL', '--']
