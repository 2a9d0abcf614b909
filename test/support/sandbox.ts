/** Looks at an agent's sandboxes from outside. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { inside } from '../../host-agent/sandbox/protocol.ts'

/** '' of a process that has ended meanwhile. */
const unlessEnded = (read: () => string) => {
  try {
    return read()
  } catch {
    return ''
  }
}
const textOf = (path: string) => unlessEnded(() => readFileSync(path, 'utf8'))
export const descendantsOf = (pid: number): number[] =>
  textOf(`/proc/${pid}/task/${pid}/children`)
    .split(' ')
    .filter((child) => child !== '')
    .flatMap((child) => [Number(child), ...descendantsOf(Number(child))])

/** In clock ticks since boot (proc(5)): numbers of processes begin again at some time. */
const startOf = (pid: number) => {
  const stat = textOf(`/proc/${pid}/stat`)
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
}

/** Processes below the agent that run a program, by its path where they live, the oldest first. */
export const processesOf = (agentPid: number, program: string): number[] =>
  descendantsOf(agentPid)
    .filter((pid) => unlessEnded(() => readlinkSync(`/proc/${pid}/exe`)) === program)
    .sort((a, b) => startOf(a) - startOf(b) || a - b)
export const readerProgram = '/app/node'

/** Folders of the control groups of a process that an agent made. */
export const controlGroupsOf = (pid: number): string[] =>
  execFileSync('/usr/bin/find', ['/sys/fs/cgroup', '-type', 'd', '-path', '*/sendense-*/*'], { encoding: 'utf8' })
    .split('\n')
    .filter((folder) => textOf(`${folder}/cgroup.procs`).split('\n').includes(String(pid)))

/** The reader that has volumes mounted; the one that waits for its first mount has none. */
export const readerOfMount = (agentPid: number): number => {
  const reader = processesOf(agentPid, readerProgram).find((pid) =>
    textOf(`/proc/${pid}/mountinfo`).includes(` ${inside.guest}/volume-`),
  )
  if (reader === undefined) throw new Error('no sandbox has anything mounted')
  return reader
}

/** What runs a command as root of the sandbox, with the host's network. */
export const entering = (reader: number): [string, ...string[]] => [
  '/usr/bin/nsenter',
  ...['--target', String(reader), '--user', '--mount', '--setuid', '0', '--setgid', '0', '--'],
]
