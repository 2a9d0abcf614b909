/** What the parts of the product need on their host before they run: the user, folders, keys, and the settings of each in a file. */
import { execFileSync } from 'node:child_process'
import { access, chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AgentSettings, NodeSettings } from '../contract/settings.ts'
import { writeFileDurably } from '../durable/write-file.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { newKeyFile } from './bindings/keys.ts'
import type { UserIds } from './embedded-database.ts'
import { hubUser } from './privileges.ts'
import { version } from './version.ts'

/** The unprivileged system user; made once. */
export const ensureUser = (): UserIds => {
  const id = (flag: string) =>
    Number(
      execFileSync('/usr/bin/id', [flag, hubUser], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim(),
    )
  try {
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    execFileSync(
      '/usr/sbin/useradd',
      [
        '--system',
        '--user-group',
        '--no-create-home',
        '--home-dir',
        '/nonexistent',
        '--shell',
        '/usr/sbin/nologin',
        hubUser,
      ],
      { stdio: 'ignore' },
    )
    return { uid: id('-u'), gid: id('-g') }
  }
}

export const prepareFolders = async (settings: Settings, { gid }: UserIds) => {
  const { dataDir, runDir } = settings
  await mkdir(dataDir, { recursive: true, mode: 0o711 })
  for (const name of ['logs', 'agent', 'node', 'run'])
    await mkdir(join(dataDir, name), { recursive: true, mode: 0o700 })
  await mkdir(runDir, { recursive: true, mode: 0o755 })
  await chown(runDir, 0, gid)
  await chmod(runDir, 0o750)
  const { keyFile } = settings
  const isNew = await access(keyFile).then(
    () => false,
    (error: NodeJS.ErrnoException) => {
      // A file that can not be looked at may be there: never write over it.
      if (error.code !== 'ENOENT') throw error
      return true
    },
  )
  if (isNew) await writeFileDurably(keyFile, JSON.stringify(newKeyFile()))
}

/** @returns the file that the host-agent is started with */
export const writeAgentSettings = async (settings: Settings, { gid }: UserIds): Promise<string> => {
  const file = join(settings.dataDir, 'run/agent.json')
  const agent: AgentSettings = {
    socketPath: settings.agentSocket,
    socketGid: gid,
    stateDir: join(settings.dataDir, 'agent'),
    restoreRoot: settings.restoreRoot,
    nbdPorts: settings.nbdPorts,
    restoreSlots: settings.restoreSlots,
    mountIdleSeconds: settings.mountIdleSeconds,
    attachBackend: settings.attachBackend,
    version,
  }
  await writeFile(file, JSON.stringify(agent), { mode: 0o600 })
  return file
}

/** @returns the file that the local source node is started with */
export const writeNodeSettings = async (
  settings: Settings,
  { host, port }: { host: string; port: number },
): Promise<string> => {
  const file = join(settings.dataDir, 'run/node.json')
  const node: NodeSettings = {
    host,
    port,
    stateDir: join(settings.dataDir, 'node'),
    sourcesFile: settings.sourcesFile,
    version,
  }
  await writeFile(file, JSON.stringify(node), { mode: 0o600 })
  return file
}
