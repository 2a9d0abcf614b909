/** Makes one system call of the agent or of a tool that it runs go wrong, from outside, with strace. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { waitFor } from '../../../runtime/service.ts'

/** What changes something outside of the process, in groups that strace counts alike. */
export const systemCalls = {
  make: 'openat,mkdir,mkdirat,link,linkat,symlink',
  write: 'pwrite64,pwritev,pwritev2,fallocate,ftruncate,copy_file_range',
  sync: 'fsync,fdatasync,sync_file_range',
  rename: 'rename,renameat,renameat2,chmod,fchmod,fchmodat,fchown,utimensat',
  remove: 'unlink,unlinkat,rmdir',
  attach: 'mount,umount2,ioctl',
  process: 'clone,clone3,fork,vfork,execve',
  read: 'pread64,preadv,preadv2,getdents64',
} as const
export type CallGroup = keyof typeof systemCalls

export type Injection = {
  calls: string
  /** As strace takes it: `signal=SIGKILL`, `error=EIO`. */
  fault: string
  /** The Nth call of a thread or process. */
  nth: number
  /** From that call on, not that one alone. */
  onwards: boolean
}

/** `wasStuck`: strace could not let go of what it traced, which may be stopped in any state since. */
type Traced = { lines: string[]; wasStuck: boolean }

/** Runs `work` while the fault lies in wait. @returns the calls that were struck */
export const whileInjected = async (
  pid: number,
  { calls, fault, nth, onwards }: Injection,
  log: string,
  work: () => Promise<void>,
): Promise<{ struck: string[]; wasStuck: boolean }> => {
  const when = `${nth}${onwards ? '+' : ''}`
  const { lines, wasStuck } = await whileTraced(
    pid,
    ['-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}:when=${when}`],
    log,
    work,
  )
  const struck = lines.filter((line) => line.includes('(INJECTED)') || line.includes('+++ killed by SIGKILL'))
  return { struck, wasStuck }
}

/** @returns how many calls of each group the thread or process made that made most of them, in `work` */
export const countCalls = async (
  pid: number,
  log: string,
  work: () => Promise<void>,
): Promise<Record<CallGroup, number>> => {
  const { lines } = await whileTraced(pid, ['-e', `trace=${Object.values(systemCalls).join()}`], log, work)
  const most = (calls: string): number => {
    const perThread = new Map<string, number>()
    for (const line of lines) {
      const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? []
      if (call && calls.split(',').includes(call)) perThread.set(thread!, (perThread.get(thread!) ?? 0) + 1)
    }
    return Math.max(0, ...perThread.values())
  }
  return Object.fromEntries(Object.entries(systemCalls).map(([group, calls]) => [group, most(calls)])) as Record<
    CallGroup,
    number
  >
}

const whileTraced = async (pid: number, options: string[], log: string, work: () => Promise<void>): Promise<Traced> => {
  // Its crashes are not told: the first process of a sandbox that crashes is not let die while it is traced, and crashes for ever.
  const quietly = ['-f', '-qq', '-e', 'signal=!SIGSEGV,SIGTRAP,SIGILL,SIGABRT', '-o', log]
  const args = [...quietly, ...options, '-p', String(pid)]
  const tracer = await attach(pid, args)
  if (!tracer) return { lines: [], wasStuck: true }
  try {
    await work()
  } finally {
    await letGo(tracer)
    for (const one of [pid, ...descendantsOf(pid)]) wake(one)
  }
  const lines = readFileSync(log, 'utf8').split('\n')
  rmSync(log)
  return { lines, wasStuck: tracer.signalCode === 'SIGKILL' }
}

const attachTries = 5
/**
 * A thread that begins while strace looks for threads is not always found: it is tried again.
 * @returns undefined when the fault struck meanwhile, in a process that was doing nothing, and the process is gone
 */
const attach = async (pid: number, args: string[]): Promise<ChildProcess | undefined> => {
  for (let attempt = 1; ; attempt++) {
    const tracer = spawn('/usr/bin/strace', args, { stdio: ['ignore', 'ignore', 'inherit'] })
    try {
      await waitFor('strace', async () => isTraced(pid), 10_000)
      return tracer
    } catch (error) {
      await letGo(tracer)
      if (!existsSync(`/proc/${pid}`)) return undefined
      wake(pid)
      if (attempt === attachTries) throw error
    }
  }
}
const letGo = async (tracer: ChildProcess): Promise<void> => {
  if (tracer.exitCode !== null || tracer.signalCode !== null) return
  const ended = new Promise((resolve) => tracer.once('exit', resolve))
  tracer.kill('SIGTERM')
  // It can wait for ever for a process whose threads died while it let them go.
  const timer = setTimeout(() => tracer.kill('SIGKILL'), 1_000)
  await ended
  clearTimeout(timer)
}

const descendantsOf = (pid: number): number[] => {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
        .split(' ')
        .filter((text) => text !== '')
        .flatMap((child) => [Number(child), ...descendantsOf(Number(child))]),
    )
  } catch {
    // It has just ended.
    return []
  }
}
/** Strace may leave stopped what it was about to let go, and take the news of a child's death with it. */
const wake = (pid: number) => {
  for (const signal of ['SIGCONT', 'SIGCHLD'] as const)
    try {
      process.kill(pid, signal)
    } catch {
      // It has just ended.
    }
}

/** Whether all of its threads are. One that has ended may be listed for as long as an earlier tracer of it was not asked. */
const isTraced = (pid: number) =>
  readdirSync(`/proc/${pid}/task`).every((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
    return !status.includes('TracerPid:\t0\n') || /^State:\t[ZX]/m.test(status)
  })
