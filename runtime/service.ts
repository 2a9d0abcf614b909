/** One process that the launcher keeps running: started, watched, started again when it dies, ended in order. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export type ServiceSpec = {
  name: string
  command: string
  args: readonly string[]
  env: Record<string, string>
  logFile: string
  /** How long it may take to end by itself. */
  graceMs: number
  /** Gets an IPC channel: it learns of the launcher's death from that. */
  ipc?: boolean
}

const logBytesMax = 20 * 1024 * 1024
const restartPauseMaxMs = 5_000
/** A process that lived this long was healthy: its death is a new one. */
const healthyMs = 30_000
const quickDeathsMax = 8

export class Service {
  readonly #spec: ServiceSpec
  #child: ChildProcess | undefined
  #stopping = false
  #quickDeaths = 0
  #mayGiveUp = true
  /** Set when it died too often while all was being started: the launcher gives up. */
  readonly gaveUp: Promise<Error>
  #giveUp: (error: Error) => void = () => undefined

  constructor(spec: ServiceSpec) {
    this.#spec = spec
    this.gaveUp = new Promise((resolve) => {
      this.#giveUp = resolve
    })
  }

  get pid() {
    return this.#child?.pid
  }

  start() {
    const { name, command, args, env, logFile, ipc } = this.#spec
    if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > logBytesMax) renameSync(logFile, `${logFile}.1`)
    const log = openSync(logFile, 'a', 0o600)
    const began = performance.now()
    // A group of its own: Ctrl-C at the terminal reaches the launcher, which ends them in order.
    const child = spawn(command, args, {
      env,
      stdio: ['ignore', log, log, ...(ipc ? (['ipc'] as const) : [])],
      detached: true,
    })
    closeSync(log)
    this.#child = child
    child.once('error', (error) => this.#giveUp(new Error(`${name} could not be started: ${error.message}`)))
    child.once('exit', (code, signal) => {
      if (this.#stopping) return
      this.#quickDeaths = performance.now() - began > healthyMs ? 0 : this.#quickDeaths + 1
      if (this.#mayGiveUp && this.#quickDeaths > quickDeathsMax) {
        this.#giveUp(new Error(`${name} keeps ending (${code ?? signal}). The end of its log:\n${this.logTail()}`))
        return
      }
      const pauseMs = Math.min(restartPauseMaxMs, 100 * 2 ** this.#quickDeaths)
      process.stderr.write(`${name} ended unexpectedly (${code ?? signal}) and is started again\n`)
      setTimeout(() => {
        if (!this.#stopping) this.start()
      }, pauseMs)
    })
  }

  /** From now on it is started again however often it dies: ending the other parts would help nobody. */
  neverGiveUp() {
    this.#mayGiveUp = false
  }

  /** TERM, and KILL when it has not gone in time. */
  async stop(): Promise<void> {
    this.#stopping = true
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), this.#spec.graceMs)
    await ended
    clearTimeout(timer)
  }

  logTail(): string {
    try {
      return readFileSync(this.#spec.logFile, 'utf8').trim().split('\n').slice(-8).join('\n')
    } catch {
      return '(no log)'
    }
  }
}

/** Waits for a state, with a limit. @throws Error that says what did not come */
export const waitFor = async (what: string, isSo: () => Promise<boolean>, timeoutMs: number): Promise<void> => {
  const until = performance.now() + timeoutMs
  for (let pauseMs = 20; !(await isSo().catch(() => false)); pauseMs = Math.min(250, pauseMs * 1.5)) {
    if (performance.now() > until) throw new Error(`${what} does not answer after ${timeoutMs / 1000} seconds`)
    await sleep(pauseMs)
  }
}
