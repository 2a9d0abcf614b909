/** The only place of the node that starts child processes: absolute program, argument list, fixed environment. */

import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'

const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** @throws Error with the tool's last words */
export const run = async (tool: string, args: readonly string[], timeoutMs = 30_000): Promise<{ stdout: string }> => {
  const { stdout } = await execa(tool, args, {
    env: environment,
    extendEnv: false,
    timeout: timeoutMs,
    stdin: 'ignore',
  })
  return { stdout }
}

export type Child = {
  /** Lines that it writes to file descriptor 3. */
  onLine: (listener: (line: string) => void) => void
  /** @throws Error when it fails */
  ended: Promise<void>
  stop: () => Promise<void>
  /** Tries until there is something. @throws Error when the process has ended, or after ten seconds */
  until: <T>(attempt: () => Promise<T | undefined>) => Promise<T>
}

const readyTimeoutMs = 10_000
const stderrMax = 4096

/**
 * Starts a process that dies with the node.
 * @param lowPriority for work that must not slow down what others wait for
 */
export const startChild = (
  tool: string,
  args: readonly string[],
  signal: AbortSignal,
  { lowPriority = false } = {},
): Child => {
  const subprocess = execa('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', tool, ...args], {
    env: environment,
    extendEnv: false,
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    buffer: false,
    reject: false,
    cleanup: false,
    detached: true,
  })
  let stderr = ''
  let rest = ''
  let over = false
  const listeners: ((line: string) => void)[] = []
  subprocess.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-stderrMax)
  })
  subprocess.stdio[3]?.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) for (const listener of listeners) listener(line)
  })
  if (lowPriority && subprocess.pid !== undefined) setPriority(subprocess.pid, 19)
  const kill = () => {
    if (!over) subprocess.kill('SIGKILL')
  }
  signal.addEventListener('abort', kill, { once: true })
  const ended = subprocess.then((result) => {
    over = true
    signal.removeEventListener('abort', kill)
    if (signal.aborted) throw new Error('stopped')
    if (result.exitCode !== 0)
      throw new Error(`${tool} ended with ${result.exitCode ?? result.signal}: ${stderr.trim().slice(-500)}`)
  })
  ended.catch(() => undefined)
  return {
    onLine: (listener) => listeners.push(listener),
    ended,
    stop: async () => {
      if (!over) subprocess.kill('SIGTERM')
      const timer = setTimeout(kill, 5_000)
      await ended.catch(() => undefined)
      clearTimeout(timer)
    },
    until: async (attempt) => {
      for (const until = performance.now() + readyTimeoutMs; ; await sleep(5)) {
        const result = await attempt()
        if (result !== undefined) return result
        if (over) await ended
        if (over || performance.now() > until) throw new Error(`${tool} did not start: ${stderr.trim()}`)
      }
    },
  }
}
