/** Starts all processes of the agent (run-tool.ts those of its small helpers): absolute program, argument list, fixed environment, limits. */
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { UserIds } from '../contract/settings.ts'
import { becoming, outputOf, type Run, ToolError, type ToolResult } from './run-tool.ts'
import type { ToolAnswer, ToolRequest } from './tool-runner.ts'

/** Where Debian keeps the tools. */
export const program = {
  bwrap: '/usr/bin/bwrap',
  btrfstune: '/usr/bin/btrfstune',
  chattr: '/usr/bin/chattr',
  losetup: '/usr/sbin/losetup',
  mknod: '/usr/bin/mknod',
  modprobe: '/usr/sbin/modprobe',
  mount: '/usr/bin/mount',
  nbdClient: '/usr/sbin/nbd-client',
  nsenter: '/usr/bin/nsenter',
  partx: '/usr/bin/partx',
  qemuImg: '/usr/bin/qemu-img',
  qemuNbd: '/usr/bin/qemu-nbd',
  qemuStorageDaemon: '/usr/bin/qemu-storage-daemon',
  setpriv: '/usr/bin/setpriv',
  stat: '/usr/bin/stat',
  umount: '/usr/bin/umount',
  unshare: '/usr/bin/unshare',
} as const

const environment: Record<string, string> = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/' }

/** Every process that is started from here on says in its environment whose it is. */
const markName = 'SENDENSE_AGENT'
export const markChildren = (stateDir: string) => {
  environment[markName] = stateDir
}

/**
 * Ends what an earlier agent of this state folder left running. The kernel ends its children with it, except one that had not yet asked for
 * that: an agent that is killed in the middle of starting a process leaves it to nobody.
 * @returns how many
 */
export const endOrphans = async (stateDir: string): Promise<number> => {
  const mark = `${markName}=${stateDir}`
  let ended = 0
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    const variables = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (!variables.split('\0').includes(mark)) continue
    if (killIfThere(pid)) ended++
  }
  return ended
}

/** Node runs no TypeScript: whoever uses this file as it is (a test) starts what was built of the runner. */
const runnerFile = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../dist/host-agent/tool-runner.js' : './tool-runner.js', import.meta.url),
)
type ToolRunner = { request: (request: Omit<ToolRequest, 'id'>) => Promise<ToolResult> }
let runner: ToolRunner | undefined

/** A tool in the middle of a system call ends after it; one that hangs in it is not waited for longer than this. */
const groupEndMs = 10_000

/** Ends a process group and waits until it is gone. */
const endGroup = async (group: number) => {
  for (const until = performance.now() + groupEndMs; performance.now() < until; await sleep(5)) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {
      return
    }
  }
}

const startRunner = (): ToolRunner => {
  const waiting = new Map<number, { resolve: (result: ToolResult) => void; reject: (error: Error) => void }>()
  let nextId = 1
  // A process group of its own, so that its tools can be ended with it; little garbage is kept, since each fork copies that, too.
  const child = spawn(
    program.setpriv,
    ['--pdeathsig', 'KILL', '--', process.execPath, '--max-semi-space-size=1', '--v8-pool-size=0', runnerFile],
    {
      env: environment,
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    },
  )
  const own: ToolRunner = {
    request: (request) =>
      new Promise((resolve, reject) => {
        const id = nextId++
        waiting.set(id, { resolve, reject })
        keepAlive(true)
        child.stdin.write(`${JSON.stringify({ ...request, id } satisfies ToolRequest)}\n`)
      }),
  }
  /** Only a tool that runs is a reason for this process to stay. */
  const keepAlive = (isNeeded: boolean) => {
    const change = isNeeded ? 'ref' : 'unref'
    child[change]()
    for (const pipe of [child.stdin, child.stdout]) (pipe as Socket)[change]()
  }
  const onEnd = async (error: Error) => {
    if (runner === own) runner = undefined
    if (child.pid !== undefined) await endGroup(child.pid)
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  child.once('error', onEnd)
  child.once('close', (code, signal) => onEnd(new Error(`the tool runner has ended: ${signal ?? code}`)))
  // Its end says it.
  child.stdin.on('error', () => undefined)
  createInterface({ input: child.stdout }).on('line', (line) => {
    const result = JSON.parse(line) as ToolAnswer
    waiting.get(result.id)?.resolve(result)
    waiting.delete(result.id)
    if (waiting.size === 0) keepAlive(false)
  })
  keepAlive(false)
  return own
}

/** Runs a tool to its end. */
export const run: Run = async (tool, args, { timeoutMs = 30_000, okCodes = [0], input = '', user, files } = {}) => {
  runner ??= startRunner()
  const result = await runner.request({ tool, args, timeoutMs, input, user, files }).catch((cause: Error) => {
    throw new ToolError(tool, undefined, cause.message, cause)
  })
  return outputOf(tool, result, okCodes)
}

/** CONT for one that was stopped. */
type EndSignal = 'SIGTERM' | 'SIGKILL' | 'SIGCONT'
type Ended = { exitCode: number | null; signal: string | null; stderr: string }
/** A process that runs until it is ended. It dies with the agent, whatever kills the agent. */
export type Daemon = {
  pid: number
  /** Start time in clock ticks since boot: with the pid it names one process for ever. */
  startTicks: string
  /** Resolves when it has ended. */
  ended: Promise<Ended>
  hasEnded: () => boolean
  /** Its standard input and output, when it was started to be talked to. */
  input: Writable | null
  output: Readable | null
  /** What it has said so far, the last few KiB. */
  stderr: () => string
  kill: (signal: EndSignal) => void
  /** Ends it: TERM, and KILL with all that it has started when it has not gone by then. At once without grace. */
  stop: (graceMs: number) => Promise<Ended>
}

const stderrMax = 8192
/**
 * QEMU takes a buffer for each request, and glibc gives one of 128 KiB or more back to the kernel at once: reading a disk through an export then took two to
 * four times as long, most of it in page faults. The largest values that glibc takes, in bytes.
 */
const keepFreedMemory = {
  MALLOC_MMAP_THRESHOLD_: String(32 * 1024 ** 2),
  MALLOC_TRIM_THRESHOLD_: String(256 * 1024 ** 2),
}

export type DaemonOptions = {
  /** Largest file that it may write. */
  fileBytesMax?: number
  /** Gives it a standard input and output. */
  isTalkedTo?: boolean
  /** Who it runs as, without a way to become more; without it as the agent does. */
  user?: UserIds | undefined
  /** Open files that it gets, as its descriptors from firstHandedFd on. */
  fds?: readonly number[]
  /** A process whose namespaces it lives in, as root of what is there. */
  within?: number | undefined
}

const entering = (pid: number) => [
  program.nsenter,
  ...[
    '--target',
    String(pid),
    '--user',
    '--mount',
    '--pid',
    '--net',
    '--ipc',
    '--uts',
    '--setuid',
    '0',
    '--setgid',
    '0',
    '--',
  ],
]

export const startDaemon = async (
  tool: string,
  args: readonly string[],
  { fileBytesMax, isTalkedTo = false, user, fds = [], within }: DaemonOptions = {},
): Promise<Daemon> => {
  const limited = fileBytesMax === undefined ? [] : ['/usr/bin/prlimit', `--fsize=${fileBytesMax}`, '--']
  const inside = within === undefined ? [] : entering(within)
  const command = [...(user ? becoming(user) : []), '--pdeathsig', 'KILL', '--', ...inside, ...limited, tool, ...args]
  const talk = isTalkedTo ? 'pipe' : 'ignore'
  // Its own process group, so that Ctrl-C at a terminal reaches the agent alone and the agent ends it in order.
  const child = spawn(program.setpriv, command, {
    env: { ...environment, ...keepFreedMemory },
    stdio: [talk, talk, 'pipe', ...fds],
    detached: true,
  })
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-stderrMax)
  })
  let over = false
  const ended = new Promise<Ended>((resolve) => {
    const end = (exitCode: number | null, signal: string | null) => {
      over = true
      resolve({ exitCode, signal, stderr })
    }
    child.once('close', end)
    child.once('error', (error) => {
      stderr += String(error)
      end(null, null)
    })
  })
  const { pid } = child
  if (pid === undefined) throw new ToolError(tool, undefined, (await ended).stderr)
  const kill = (signal: EndSignal) => {
    // The child handle knows whether it is still our process; a bare pid would not.
    if (!over) child.kill(signal)
  }
  return {
    pid,
    startTicks: (await processStartTicks(pid)) ?? '',
    ended,
    hasEnded: () => over,
    input: child.stdin,
    output: child.stdout,
    stderr: () => stderr,
    kill,
    stop: async (graceMs) => {
      // What it has started goes before it: nobody finds that afterwards, and as long as it is there its output is not at its end.
      const end = async () => {
        if (!over) await killDescendants(pid)
        kill('SIGKILL')
      }
      if (graceMs > 0) kill('SIGTERM')
      const timer = setTimeout(() => void end(), graceMs)
      const result = await ended
      clearTimeout(timer)
      return result
    },
  }
}

/** Fields of /proc/pid/stat, counted after the name in brackets; undefined when there is no such process. */
const processFields = async (pid: number): Promise<string[] | undefined> => {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
export const processStartTicks = async (pid: number): Promise<string | undefined> => (await processFields(pid))?.[19]

/** Whether a process still holds anything: one that has ended and waits for its parent to hear of it (Z) holds nothing, unless threads of it are still there. */
export const isRunning = async (pid: number, startTicks: string): Promise<boolean> => {
  const fields = await processFields(pid)
  return fields !== undefined && fields[19] === startTicks && (fields[0] !== 'Z' || Number(fields[17]) > 1)
}

/** One that has just ended by itself is as good. */
const killIfThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

const childrenOf = async (pid: number): Promise<number[]> => {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => ''))
  return (await Promise.all(lists)).flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}
/** Kills all that a process has started, and what those have; not the process. */
export const killDescendants = async (pid: number): Promise<void> => {
  for (const child of await childrenOf(pid)) {
    await killDescendants(child)
    killIfThere(child)
  }
}

/** Ends a process of an earlier agent, if it is provably the same one. */
export const killProven = async (pid: number, startTicks: string): Promise<void> => {
  if (startTicks !== '' && (await processStartTicks(pid)) === startTicks) killIfThere(pid)
}
