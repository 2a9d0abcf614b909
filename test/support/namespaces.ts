/**
 * Programs in namespaces of their own (processes, mounts with another /tmp, /run and /dev/shm, network), so that those side by side do not see what the others leave or
 * listen on. Loop devices and control groups are the kernel's alone, and shared: census.ts knows which are whose.
 */
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectRoot } from '../../runtime/version.ts'

/** @property inMemory whether /tmp is; nothing of it stays then @property hasNetwork whether it has that of the host, and its ports */
type Place = { inMemory: boolean; hasNetwork: boolean }

/** bash is the first process there, which has to collect those that lose their parent. A project ($2) that lies in /tmp is shown there ($3), too. */
const steps = ({ inMemory, hasNetwork }: Place) =>
  [
    // As /tmp is: others than root come by.
    inMemory ? 'mount -t tmpfs -o size=6g,mode=1777 tmpfs "$1"' : 'chmod 1777 "$1"',
    'if [ -n "$3" ]; then mkdir -p "$3" && mount --bind "$2" "$3"; fi',
    'mount --rbind "$1" /tmp',
    'mount -t tmpfs tmpfs /run',
    'mount -t tmpfs tmpfs /dev/shm',
    ...(hasNetwork ? [] : ['ip link set lo up']),
    'shift 3',
    '"$@"',
    'exit $?',
  ].join(' && ')

/**
 * @param folder is /tmp there
 * @returns program and arguments, which end with what runs there
 */
export const inNamespaces = (folder: string, place: Place, command: readonly string[]): [string, string[]] => {
  const root = fileURLToPath(projectRoot)
  const shown = root.startsWith('/tmp/') ? join(folder, relative('/tmp', root)) : ''
  const own = [
    '--pid',
    '--fork',
    '--kill-child',
    '--mount',
    '--mount-proc',
    ...(place.hasNetwork ? [] : ['--net']),
    '--',
  ]
  return ['/usr/bin/unshare', [...own, '/bin/bash', '-c', steps(place), 'part', folder, root, shown, ...command]]
}
