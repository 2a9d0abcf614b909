/** The only place that starts child processes: absolute program, argument list, fixed environment, limits. */
import { type ChildProcess, execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { execa } from 'execa'

/** Where Debian keeps the tools. */
export const program = {
  blkid: '/usr/sbin/blkid',
  btrfstune: '/usr/bin/btrfstune',
  losetup: '/usr/sbin/losetup',
  modprobe: '/usr/sbin/modprobe',
  mount: '/usr/bin/mount',
  ntfsinfo: '/usr/bin/ntfsinfo',
  partx: '/usr/bin/partx',
  qemuImg: '/usr/bin/qemu-img',
  qemuNbd: '/usr/bin/qemu-nbd',
  qemuStorageDaemon: '/usr/bin/qemu-storage-daemon',
  sfdisk: '/usr/sbin/sfdisk',
  umount: '/usr/bin/umount',
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
    try {
      process.kill(pid, 'SIGKILL')
      ended++
    } catch {
      // It has just ended by itself.
    }
  }
  return ended
}
/** No tool that we wait for says more. */
const outputBytesMax = 4 * 1024 * 1024

export type Output = { exitCode: number; stdout: string; stderr: string }

export class ToolError extends Error {
  override readonly name = 'ToolError'
  readonly exitCode: number | undefined
  readonly stderr: string
  constructor(tool: string, exitCode: number | undefined, stderr: string, cause?: unknown) {
    super(`${tool} ended with ${exitCode ?? 'no exit code'}: ${stderr.trim().slice(-500)}`, { cause })
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

/**
 * Runs a tool to its end.
 * @param okCodes exit codes that are answers; any other throws ToolError
 */
export const run = (
  tool: string,
  args: readonly string[],
  { timeoutMs = 30_000, okCodes = [0] }: { timeoutMs?: number; okCodes?: readonly number[] } = {},
): Promise<Output> =>
  new Promise((resolve, reject) => {
    const options = { env: environment, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: outputBytesMax } as const
    // Not execa: it takes the event loop twice as long to start a process, and a mount waits for several.
    const child = execFile(tool, args, options, (error, stdout, stderr) => {
      const exitCode = child.exitCode ?? undefined
      if (exitCode !== undefined && okCodes.includes(exitCode)) resolve({ exitCode, stdout, stderr })
      else reject(new ToolError(tool, exitCode, error?.killed ? 'timed out' : stderr || String(error), error))
    })
    child.stdin?.end()
  })

/** A process that runs until it is ended. It dies with the agent, whatever kills the agent. */
export type Daemon = {
  pid: number
  /** Start time in clock ticks since boot: with the pid it names one process for ever. */
  startTicks: string
  /** Resolves when it has ended. */
  ended: Promise<{ exitCode: number | null; signal: string | null; stderr: string }>
  hasEnded: () => boolean
  /** Its standard input and output, when it was started to be talked to. */
  input: Writable | null
  output: Readable | null
  /** What it has said so far, the last few KiB. */
  stderr: () => string
  kill: (signal: 'SIGTERM' | 'SIGKILL') => void
  /** Ends it: TERM, and KILL when it has not gone by then. */
  stop: (graceMs: number) => Promise<{ exitCode: number | null; signal: string | null; stderr: string }>
}

const stderrMax = 8192

/**
 * @param fileBytesMax largest file that it may write
 * @param isTalkedTo gives it a standard input and output
 */
export const startDaemon = async (
  tool: string,
  args: readonly string[],
  { fileBytesMax, isTalkedTo = false }: { fileBytesMax?: number; isTalkedTo?: boolean } = {},
): Promise<Daemon> => {
  const limited = fileBytesMax === undefined ? [] : ['/usr/bin/prlimit', `--fsize=${fileBytesMax}`, '--']
  const command = ['--pdeathsig', 'KILL', '--', ...limited, tool, ...args]
  // Its own process group, so that Ctrl-C at a terminal reaches the agent alone and the agent ends it in order.
  const subprocess = execa('/usr/bin/setpriv', command, {
    env: environment,
    extendEnv: false,
    stdin: isTalkedTo ? 'pipe' : 'ignore',
    stdout: isTalkedTo ? 'pipe' : 'ignore',
    stderr: 'pipe',
    buffer: false,
    reject: false,
    detached: true,
    cleanup: false,
  })
  let stderr = ''
  subprocess.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-stderrMax)
  })
  let over = false
  const ended = subprocess.then((result) => {
    over = true
    return { exitCode: result.exitCode ?? null, signal: result.signal ?? null, stderr }
  })
  const pid = subprocess.pid
  if (pid === undefined) throw new ToolError(tool, undefined, (await ended).stderr)
  const kill = (signal: 'SIGTERM' | 'SIGKILL') => {
    // The child handle knows whether it is still our process; a bare pid would not.
    if (!over) (subprocess as unknown as ChildProcess).kill(signal)
  }
  return {
    pid,
    startTicks: (await processStartTicks(pid)) ?? '',
    ended,
    hasEnded: () => over,
    input: subprocess.stdin,
    output: subprocess.stdout,
    stderr: () => stderr,
    kill,
    stop: async (graceMs) => {
      kill('SIGTERM')
      const timer = setTimeout(() => kill('SIGKILL'), graceMs)
      const result = await ended
      clearTimeout(timer)
      return result
    },
  }
}

/** Field 22 of /proc/pid/stat, counted after the name in brackets; undefined when there is no such process. */
export const processStartTicks = async (pid: number): Promise<string | undefined> => {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** Ends a process of an earlier agent, if it is provably the same one. */
export const killProven = async (pid: number, startTicks: string): Promise<void> => {
  if (startTicks !== '' && (await processStartTicks(pid)) === startTicks) process.kill(pid, 'SIGKILL')
}
