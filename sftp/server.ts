/** SFTP: a door to mounts for scripts and file managers, read-only. Whoever has a mount's token has that mount, and nothing else of SSH. */
import { randomUUID } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import ssh2, { type Connection, type ServerConfig } from 'ssh2'
import { HubError } from '../contract/errors.ts'
import type { Audit } from '../runtime/audit.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { readMountToken } from '../runtime/tokens.ts'
import { hostKeyOf } from './host-key.ts'
import { MountedTree } from './mounted-tree.ts'
import { serveSession } from './session.ts'

const connectionsMax = 64
/** Until a client has said its password, and how often it may say a wrong one. */
const loginMs = 20_000
const triesMax = 3
/** Clients that are gone without a word are noticed within a minute. */
const keepaliveMs = 20_000
/** As long as a mount's token is good. */
const connectionMs = 12 * 3600 * 1000

export type SftpOptions = {
  host: string
  port: number
  audit: Audit
  onTrouble: (error: unknown) => void
}
export type SftpDoor = { port: number; hostKeyFingerprint: string; close: () => void }

/** What the audit log is told: an open file is a download, a refused password a refused try. */
const asRoute = { function: 'restore/sftp', downloadToken: true, audited: undefined } as const

/** @throws Error when the port can not be had */
export const openSftp = async (
  env: Env<'DB' | 'AGENT' | 'CLOCK' | 'KEYS'>,
  { host, port, audit, onTrouble }: SftpOptions,
): Promise<SftpDoor> => {
  const { privateKey, fingerprint } = hostKeyOf(env.KEYS.sshHostSeed)
  /** By address and port: ssh2 tells of a client, and not of its socket, once that has said who it is. */
  const visitors = new Map<string, Visitor>()

  const onConnection = (client: Connection, { ip, port: from }: { ip: string; port: number }) => {
    const visitor = visitors.get(nameOf(ip, from))
    const end = () => visitor?.socket.destroy()
    // A client that breaks off, or the protocol, has itself to blame.
    client.on('error', end)
    let tries = 0
    let mountId: string | undefined
    const tell = (status: number, code: string | null, path: string) =>
      audit({
        route: asRoute,
        caller: mountId === undefined ? undefined : { kind: 'mount', mountId },
        input: undefined,
        method: 'GET',
        path,
        status,
        code,
        remoteAddress: ip,
        requestId: randomUUID(),
      })

    client.on('authentication', async (context) => {
      if (context.method !== 'password') return context.reject(['password'])
      try {
        const caller = await readMountToken(env.KEYS, context.password, env.CLOCK)
        if (caller.kind !== 'mount') throw new HubError('TOKEN_INVALID', 'The token is not one of a mount')
        mountId = caller.mountId
        clearTimeout(visitor?.late)
        context.accept()
      } catch (error) {
        if (!(error instanceof HubError)) onTrouble(error)
        await tell(401, error instanceof HubError ? error.code : 'INTERNAL', 'sftp')
        if (++tries >= triesMax) end()
        else context.reject(['password'])
      }
    })
    client.once('ready', () => {
      const tree = new MountedTree(env, mountId!)
      client.on('session', (accept) => {
        // No shell, no command, no forwarding: what nobody listens for is refused.
        accept().on('sftp', (acceptSftp) =>
          serveSession(acceptSftp(), {
            tree,
            onOpen: (path) => tell(200, null, path),
            onTrouble,
            onFlood: end,
          }),
        )
      })
    })
  }

  const config: ServerConfig & { keepaliveInterval: number } = {
    hostKeys: [privateKey],
    ident: 'Sendense',
    keepaliveInterval: keepaliveMs,
  }
  const ssh = new ssh2.Server(config, onConnection)
  ssh.on('error', onTrouble)
  // Answers are small and waited for.
  const listener = createServer({ noDelay: true }, (socket) => {
    if (visitors.size >= connectionsMax) return socket.destroy()
    const end = () => socket.destroy()
    const visitor = { socket, late: setTimeout(end, loginMs), old: setTimeout(end, connectionMs) }
    const name = nameOf(socket.remoteAddress, socket.remotePort)
    visitors.set(name, visitor)
    socket.once('close', () => {
      for (const timer of [visitor.late, visitor.old]) clearTimeout(timer)
      visitors.delete(name)
    })
    ssh.injectSocket(socket)
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, host, resolve)
  })
  listener.on('error', onTrouble)
  return {
    port,
    hostKeyFingerprint: fingerprint,
    close: () => {
      listener.close()
      for (const { socket } of visitors.values()) socket.destroy()
    },
  }
}

/** Who is connected: until it has logged in, and for as long as it may stay. */
type Visitor = { socket: Socket; late: NodeJS.Timeout; old: NodeJS.Timeout }
const nameOf = (address: string | undefined, port: number | undefined) => `${address} ${port}`
