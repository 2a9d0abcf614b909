/** Counts what a run could leave behind: processes, devices, mounts, sockets, temporary files. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Census = Record<string, string[]>

const lines = (text: string) => text.split('\n').filter((line) => line !== '')
const output = (program: string, args: string[]) => execFileSync(program, args, { encoding: 'utf8' })

const processes = () =>
  lines(output('/bin/ps', ['-eo', 'args']))
    .filter(
      (line) =>
        !line.includes('<defunct>') &&
        /qemu|nbdcopy|mariadbd|host-agent\/main|source-node\/main|runtime\/(main|start)|start\.mjs|ntfs-3g|fuse2fs|bwrap|sandbox\/reader|chromium/.test(
          line,
        ),
    )
    // A sandbox that waits for the next mount has one of its own.
    .map((line) => line.replace(/--target \d+/, '--target').slice(0, 200))
const temporary = () =>
  readdirSync('/tmp').filter((name) => name.startsWith('sendense-') && !name.startsWith('sendense-test-report-'))

/** Sockets that somebody listens on (flag __SO_ACCEPTCON); connections come and go. */
const listening = () =>
  lines(readFileSync('/proc/net/unix', 'utf8'))
    .map((line) => line.split(/\s+/))
    .filter(([, , , flags, , , , path]) => flags === '00010000' && path?.includes('sendense'))
    .map((fields) => fields[7]!)

/** Devices are the kernel's: one whose file is there, but not to be seen from here, belongs to another mount namespace. */
const loopDevices = () =>
  lines(output('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])).filter((line) => {
    const file = line.replace(/^\S+\s+/, '')
    return file.endsWith('(deleted)') || existsSync(file)
  })

/** They lie below the group of whoever started the agent; sandboxes come and go, and their names with them. */
const controlGroups = () => {
  // Not `output`: find complains of groups that others remove meanwhile.
  const find = spawnSync('/usr/bin/find', ['/sys/fs/cgroup', '-type', 'd', '-path', '*/sendense-*'])
  const folders = lines(find.stdout.toString())
  const agentOf = (folder: string) => /\/(sendense-\w+)/.exec(folder)![1]!
  const seen = new Set(folders.filter((folder) => /[1-9]/.test(readIfThere(folder, 'cgroup.procs'))).map(agentOf))
  const inUse = new Set(folders.filter((folder) => Number(readIfThere(folder, 'pids.current')) > 0).map(agentOf))
  return (
    folders
      // As devices are: processes that are not to be seen from here are those of another namespace.
      .filter((folder) => seen.has(agentOf(folder)) || !inUse.has(agentOf(folder)))
      .map((folder) => folder.replace(/(sendense-\w+\/).*/, '$1…'))
  )
}
const readIfThere = (folder: string, name: string): string => {
  try {
    return readFileSync(join(folder, name), 'utf8')
  } catch {
    return ''
  }
}

export const census = async (): Promise<Census> => ({
  processes: processes(),
  'loop devices': loopDevices(),
  'nbd devices': readdirSync('/sys/block').filter(
    (name) => /^nbd/.test(name) && readFileSync(`/sys/block/${name}/size`, 'utf8').trim() !== '0',
  ),
  mounts: lines(readFileSync('/proc/self/mountinfo', 'utf8')).map((line) => line.split(' ')[4]!),
  'unix sockets': listening(),
  'control groups': controlGroups(),
  'run folders': existsSync('/run/sendense') ? readdirSync('/run/sendense') : [],
  'temporary files': [...temporary(), ...readdirSync('/dev/shm').filter((name) => name.startsWith('sendense-'))],
})

/** What is there now and was not before. */
export const differences = (before: Census, now: Census): string[] =>
  Object.entries(now).flatMap(([kind, things]) => {
    const left = [...things]
    for (const known of before[kind] ?? []) {
      const at = left.indexOf(known)
      if (at >= 0) left.splice(at, 1)
    }
    return left.map((thing) => `${kind}: ${thing}`)
  })

/** How many times as long as usual things may take: the lab's processor is emulated. */
export const patience = Number(process.env.SENDENSE_TEST_PATIENCE ?? 1)
/** Waits until nothing is there that was not before; what ends by itself (an unmounted FUSE driver, say) may take a moment. */
export const leftBehind = async (before: Census, timeoutMs = 10_000 * patience): Promise<string[]> => {
  for (const until = performance.now() + timeoutMs; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const left = differences(before, await census())
    if (left.length === 0 || performance.now() > until) return left
  }
}
