/** Children of this very process, which is a small one: the agent's tool runner, or the reader of a sandbox. The agent itself has exec.ts. */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type { UserIds } from '../contract/settings.ts'

/** Of the first open file that a process is handed. */
export const firstHandedFd = 3
export const handedPath = (at: number) => `/proc/self/fd/${firstHandedFd + at}`

/**
 * @property input what it reads on its standard input
 * @property user who it runs as, without a way to become more; without it as who starts it does
 * @property files absolute; it is handed them as open files, in this order
 */
export type ToolCall = {
  tool: string
  args: readonly string[]
  timeoutMs: number
  input: string | Buffer
  user?: UserIds | undefined
  files?: readonly string[] | undefined
}
/** @property failure why there is no exit code */
export type ToolResult = { exitCode: number | null; stdout: string; stderr: string; failure: string }

/** No tool that we wait for says more. */
const outputBytesMax = 4 * 1024 * 1024

const setpriv = '/usr/bin/setpriv'
/** What setpriv is told to make of a process somebody who has no rights and gets none. */
export const becoming = ({ uid, gid }: UserIds): string[] => [
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
  '--no-new-privs',
]

/** Not execa: it takes twice as long to start a process, and a mount waits for several. */
const start = ({ tool, args, timeoutMs, user, files = [] }: ToolCall): ChildProcess => {
  const handed: number[] = []
  try {
    for (const path of files) handed.push(openSync(path, 'r'))
    const [program, ...rest] = user ? [setpriv, ...becoming(user), '--', tool, ...args] : [tool, ...args]
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...handed]
    return spawn(program!, rest, { stdio, timeout: timeoutMs, killSignal: 'SIGKILL' })
  } finally {
    for (const fd of handed) closeSync(fd)
  }
}

const toItsEnd = (child: ChildProcess, input: string | Buffer): Promise<ToolResult> =>
  new Promise((resolve) => {
    let failure = ''
    const collect = (output: Readable | null): Buffer[] => {
      const said: Buffer[] = []
      let bytes = 0
      output?.on('data', (data: Buffer) => {
        said.push(data)
        bytes += data.length
        if (bytes <= outputBytesMax) return
        failure = 'it said too much'
        child.kill('SIGKILL')
      })
      return said
    }
    const [out, err] = [collect(child.stdout), collect(child.stderr)]
    const text = (said: Buffer[]) => Buffer.concat(said).toString('utf8')
    const answer = (exitCode: number | null) => resolve({ exitCode, stdout: text(out), stderr: text(err), failure })
    child.once('error', (error) => {
      failure ||= String(error)
      answer(null)
    })
    child.once('close', (exitCode, signal) => {
      if (signal !== null) failure ||= child.killed ? 'timed out' : `ended by ${signal}`
      answer(failure === '' ? exitCode : null)
    })
    // One that ends without reading it says why itself.
    child.stdin?.on('error', () => undefined).end(input)
  })

export const runTool = async (call: ToolCall): Promise<ToolResult> => {
  try {
    return await toItsEnd(start(call), call.input)
  } catch (error) {
    return { exitCode: null, stdout: '', stderr: '', failure: String(error) }
  }
}

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

/** @param okCodes exit codes that are answers; any other throws ToolError */
export const outputOf = (tool: string, result: ToolResult, okCodes: readonly number[]): Output => {
  const { exitCode, stdout, stderr, failure } = result
  if (exitCode !== null && okCodes.includes(exitCode)) return { exitCode, stdout, stderr }
  throw new ToolError(tool, exitCode ?? undefined, stderr || failure)
}

type RunOptions<Input> = {
  timeoutMs?: number
  okCodes?: readonly number[]
  input?: Input
} & Pick<ToolCall, 'user' | 'files'>
/** Runs a tool to its end. @throws ToolError */
export type Run = (tool: string, args: readonly string[], options?: RunOptions<string>) => Promise<Output>

export const runHere = async (
  tool: string,
  args: readonly string[],
  { timeoutMs = 30_000, okCodes = [0], input = '' }: RunOptions<string | Buffer> = {},
): Promise<Output> => outputOf(tool, await runTool({ tool, args, timeoutMs, input }), okCodes)

/** For a thread that does nothing else meanwhile. @returns all that it says, whatever its exit code; undefined when it could not be started, or says more than `bytesMax` */
export const outputNow = (tool: string, args: readonly string[], bytesMax: number): Buffer | undefined => {
  const stdio: StdioOptions = ['ignore', 'pipe', 'ignore']
  const { stdout, error } = spawnSync(tool, args, {
    maxBuffer: bytesMax,
    stdio,
    killSignal: 'SIGKILL',
    env: { LC_ALL: 'C' },
  })
  return error ? undefined : stdout
}

/** A process that serves until it ends. */
export type Server = { kill: () => void /** What it has said so far, the last of it. */; stderr: () => string }
const stderrMax = 2_000

/** @param onEnd called once, with the reason */
export const serveHere = (tool: string, args: readonly string[], onEnd: (why: string) => void): Server => {
  const child = spawn(tool, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (data: Buffer) => {
    stderr = (stderr + data.toString('utf8')).slice(-stderrMax)
  })
  child.once('exit', (code, signal) => onEnd(`ended by ${signal ?? `exit code ${code}`}`))
  child.once('error', (error) => onEnd(`not started: ${error}`))
  return { kill: () => child.kill('SIGKILL'), stderr: () => stderr.trim() }
}

/** A program that bytes go through. It ends with its input; `kill` ends it at once, and breaks its output. */
export const filterHere = (
  tool: string,
  args: readonly string[],
): { input: Writable; output: Readable; kill: (error: Error) => void } => {
  const child = spawn(tool, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const fail = (error: Error) => child.stdout.destroy(error)
  child.once('error', fail)
  // What it said before it failed must not look whole.
  child.once(
    'exit',
    (code, signal) => code !== 0 && fail(new Error(`${tool} was ended by ${signal ?? `exit code ${code}`}`)),
  )
  child.stdin.on('error', () => undefined)
  return {
    input: child.stdin,
    output: child.stdout,
    kill: (error) => {
      child.kill('SIGKILL')
      fail(error)
    },
  }
}
