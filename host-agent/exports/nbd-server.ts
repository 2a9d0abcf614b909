/** One qemu-nbd on loopback: starting it, waiting until it greets, counting its clients. */
import { type FileHandle, readFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../../contract/errors.ts'
import { type Daemon, program, startDaemon } from '../exec.ts'
import { closeAll, openFor } from '../handed-files.ts'
import { userOfPort } from '../qemu-users.ts'
import { handedPath } from '../run-tool.ts'
import { chainNode } from './qcow2.ts'

const greetingTimeoutMs = 15_000

const portIsFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })

/** Whether an NBD server greets on the port. */
const greets = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => end(false))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
    socket.once('data', (data) => end(data.toString('latin1', 0, 8) === 'NBDMAGIC'))
  })

type Options = {
  exportName: string
  port: number
  paths: readonly string[]
  readOnly: boolean
  sharedConnections: number
}

/**
 * Exports a chain. The port answers when this returns.
 * @throws PORT_IN_USE, SERVICE_UNAVAILABLE
 */
export const startNbdServer = async (options: Options): Promise<Daemon> => {
  const { port } = options
  if (!(await portIsFree(port))) throw new HubError('PORT_IN_USE', `Port ${port} is in use`)
  const handles = await openFor(userOfPort(port), options.paths, (at) => at === 0 && !options.readOnly)
  const daemon = await startServer(options, handles).finally(() => closeAll(handles))
  const until = performance.now() + greetingTimeoutMs
  for (let pauseMs = 2; performance.now() < until; pauseMs = Math.min(50, pauseMs * 2)) {
    if (daemon.hasEnded()) {
      const { stderr } = await daemon.ended
      if (!(await portIsFree(port))) throw new HubError('PORT_IN_USE', `Port ${port} is in use`)
      throw new HubError('SERVICE_UNAVAILABLE', 'qemu-nbd did not start', {
        details: stderr.trim().split('\n').at(-1) ?? '',
      })
    }
    if (await greets(port)) return daemon
    await sleep(pauseMs)
  }
  await daemon.stop(0)
  throw new HubError('SERVICE_UNAVAILABLE', 'qemu-nbd does not answer on its port')
}

const startServer = (
  { exportName, port, readOnly, sharedConnections }: Options,
  handles: readonly FileHandle[],
): Promise<Daemon> => {
  const handed = handles.map((_, at) => handedPath(at))
  const args = [
    '--persistent',
    `--shared=${sharedConnections}`,
    '--bind=127.0.0.1',
    `--port=${port}`,
    `--export-name=${exportName}`,
    // Writes go to the page cache: the checksums are read from there, and the seal flushes before anything is promised.
    '--cache=writeback',
    '--discard=unmap',
    ...(readOnly ? ['--read-only'] : []),
    '--',
    `json:${JSON.stringify(chainNode(handed, readOnly))}`,
  ]
  return startDaemon(program.qemuNbd, args, { user: userOfPort(port), fds: handles.map(({ fd }) => fd) })
}

const established = '01'
/** Connections to a loopback port, from the kernel's own table. */
export const connectionCounts = async (): Promise<Map<number, number>> => {
  const counts = new Map<number, number>()
  const table = await readFile('/proc/net/tcp', 'utf8').catch(() => '')
  for (const line of table.split('\n').slice(1)) {
    const [, local, , state] = line.trim().split(/\s+/)
    if (state !== established || !local?.startsWith('0100007F:')) continue
    const port = Number.parseInt(local.slice(9), 16)
    counts.set(port, (counts.get(port) ?? 0) + 1)
  }
  return counts
}
