/** What the parts of the product need on their host before they run: the user, folders, keys, and the settings of each in a file. */
import { execFileSync } from 'node:child_process'
import { access, appendFile, chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AgentSettings, NodeSettings, UserIds } from '../contract/settings.ts'
import { writeFileDurably } from '../durable/write-file.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { newKeyFile } from './bindings/keys.ts'
import { exportUsersOwner, hubUser, readerUsersOwner } from './privileges.ts'
import { projectRoot, version } from './version.ts'

const idsOf = (user: string): UserIds => {
  const id = (flag: string) =>
    Number(execFileSync('/usr/bin/id', [flag, '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  return { uid: id('-u'), gid: id('-g') }
}
const noLogin = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin']

/** An unprivileged system user with a group of its own; made once. */
const ensureSystemUser = (user: string, options: string[] = []): UserIds => {
  try {
    return idsOf(user)
  } catch {
    execFileSync('/usr/sbin/useradd', ['--system', '--user-group', ...noLogin, ...options, '--', user], {
      stdio: 'ignore',
    })
    return idsOf(user)
  }
}
export const ensureUser = () => ensureSystemUser(hubUser)

/** One for each TCP port; or as many users as a guest has, but those of a directory service. */
const rangeSize = 65_536

/** The first id that a file of ranges (subuid(5)) keeps for an owner. */
const firstOfRange = async (file: string, owner: string): Promise<number> => {
  for (const line of (await readFile(file, 'utf8')).split('\n')) {
    const [name, first, count] = line.split(':')
    if (name === owner && Number(count) >= rangeSize) return Number(first)
  }
  throw new Error(
    `${file} keeps no ${rangeSize} ids for ${owner}. Give it some: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST ${owner}`,
  )
}
/** Users that nobody else of this machine is, in the range that it keeps for a system user of ours. @returns the first of them */
const ensureUserRange = async (owner: string): Promise<UserIds> => {
  // useradd keeps ranges only where these files are.
  for (const file of ['/etc/subuid', '/etc/subgid']) await appendFile(file, '')
  ensureSystemUser(owner, ['--add-subids-for-system'])
  return { uid: await firstOfRange('/etc/subuid', owner), gid: await firstOfRange('/etc/subgid', owner) }
}
export const ensureExportUsers = () => ensureUserRange(exportUsersOwner)
export const ensureReaderUsers = () => ensureUserRange(readerUsersOwner)

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

/** What the doctor must know, under the names of the environment. */
const doctorSettings = ({ dataDir, restoreRoot, nbdPorts, agentSocket, databaseUrl }: Settings) => ({
  SENDENSE_DATA_DIR: dataDir,
  SENDENSE_RESTORE_ROOT: restoreRoot,
  SENDENSE_NBD_PORTS: `${nbdPorts.first}-${nbdPorts.last}`,
  SENDENSE_AGENT_SOCKET: agentSocket,
  ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
})

/** @returns the file that the host-agent is started with */
export const writeAgentSettings = async (settings: Settings, { gid }: UserIds): Promise<string> => {
  const file = join(settings.dataDir, 'run/agent.json')
  const agent: AgentSettings = {
    socketPath: settings.agentSocket,
    socketGid: gid,
    exportUsers: await ensureExportUsers(),
    stateDir: join(settings.dataDir, 'agent'),
    restoreRoot: settings.restoreRoot,
    nbdPorts: settings.nbdPorts,
    restoreSlots: settings.restoreSlots,
    mountIdleSeconds: settings.mountIdleSeconds,
    attachBackend: settings.attachBackend,
    readerUsers: await ensureReaderUsers(),
    hostMounts: settings.hostMounts,
    machineMounts: settings.machineMounts,
    machineImage: fileURLToPath(new URL('dist-machine', projectRoot)),
    readerSeconds: 60,
    doctor: doctorSettings(settings),
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
