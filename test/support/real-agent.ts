/** The real agent as a process of its own, with a state folder, a repository and ports that nobody else uses. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AgentApi } from '../../contract/agent.ts'
import type { HostFilesystem } from '../../contract/settings.ts'
import { openAgentClient } from '../../runtime/bindings/agent.ts'
import { ensureExportUsers, ensureReaderUsers } from '../../runtime/host.ts'
import { waitFor } from '../../runtime/service.ts'
import { projectRoot } from '../../runtime/version.ts'
import { patience } from './census.ts'

export type RealAgent = {
  agent: AgentApi
  folder: string
  repositoryPath: string
  restoreRoot: string
  firstPort: number
  pid: () => number
  /** One that does not answer may be about to end: a process that dies under a tracer is the tracer's for a moment. */
  isRunning: () => Promise<boolean>
  /** SIGKILL and a new agent over the same state. */
  killAndRestart: () => Promise<void>
  kill: () => Promise<void>
  start: () => Promise<void>
  close: () => Promise<void>
}

/** Ports outside the default range, each test file its own; below those that the kernel gives to connections (32768 and up). */
let nextPort = 20_000 + (process.pid % 120) * 100
const isFree = (port: number) =>
  new Promise<boolean>((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
export const freePorts = async (count: number): Promise<number> => {
  for (let first = nextPort; ; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, at) => isFree(first + at)))
    if (!free.every((one) => one)) continue
    nextPort = first + count
    return first
  }
}

type Options = {
  /** Where all of it lies, instead of a new folder. Removed with it. */
  folder?: string
  slots?: number
  idleSeconds?: number
  /** Threads that its calls of the filesystem are spread over. */
  fileThreads?: number
  /** Filesystems that the host itself mounts. */
  hostMounts?: HostFilesystem[] | 'auto'
  /** Those that a throw-away machine mounts. */
  machineMounts?: HostFilesystem[] | 'auto'
  /** How long a reader may take to answer. */
  readerSeconds?: number
  /** What starts it instead of being started itself, given the agent's folder. It must become what it starts. */
  command?: (folder: string) => string[]
}

const [ok, no] = [() => true, () => false]

export const openRealAgent = async ({
  folder = mkdtempSync(join(tmpdir(), 'sendense-agent-')),
  slots = 8,
  idleSeconds = 3600,
  fileThreads = 24,
  hostMounts = 'auto',
  machineMounts = [],
  readerSeconds = 60,
  command = () => [],
}: Options = {}): Promise<RealAgent> => {
  const repositoryPath = join(folder, 'repository')
  const restoreRoot = join(folder, 'restore')
  mkdirSync(repositoryPath)
  const firstPort = await freePorts(40)
  const socketPath = join(folder, 'agent.sock')
  const settings = join(folder, 'settings.json')
  writeFileSync(
    settings,
    JSON.stringify({
      socketPath,
      socketGid: null,
      exportUsers: await ensureExportUsers(),
      stateDir: join(folder, 'state'),
      restoreRoot,
      nbdPorts: { first: firstPort, last: firstPort + 39 },
      restoreSlots: slots,
      mountIdleSeconds: idleSeconds,
      readerUsers: await ensureReaderUsers(),
      hostMounts,
      machineMounts,
      machineImage: fileURLToPath(new URL('dist-machine', projectRoot)),
      readerSeconds,
      doctor: null,
      attachBackend: process.env.SENDENSE_TEST_ATTACH_BACKEND ?? 'auto',
      version: 'test',
    }),
  )
  const prefix = command(folder)
  const main = fileURLToPath(new URL('dist/host-agent/main.js', projectRoot))
  const agent = openAgentClient(socketPath)
  let child: ChildProcess
  const start = async () => {
    const agentCommand = [...prefix, process.execPath, main, '--settings', settings]
    child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', ...agentCommand], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: String(fileThreads) },
    })
    await waitFor('the agent under test', () => agent.health().then(() => true), 30_000 * patience)
  }
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (hasEnded()) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
  const isRunning = async () => {
    if (!hasEnded() && (await agent.health().then(ok, no))) return true
    return !(await waitFor('the end of an agent that does not answer', async () => hasEnded(), 30_000).then(ok, no))
  }
  await start()
  return {
    agent,
    folder,
    repositoryPath,
    restoreRoot,
    firstPort,
    pid: () => child.pid!,
    isRunning,
    start,
    kill: () => end('SIGKILL'),
    killAndRestart: async () => {
      await end('SIGKILL')
      await start()
    },
    close: async () => {
      await end('SIGTERM')
      agent.close()
      rmSync(folder, { recursive: true })
    },
  }
}
