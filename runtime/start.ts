/** The launcher behind `npm start`: database, host-agent, hub and a local source node, until Ctrl-C. */
import { access, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readSettings } from '../wrangler-style.config.ts'
import { databaseSocket } from './database-address.ts'
import { prepareDatabase } from './embedded-database.ts'
import { firstUsername } from './first-user.ts'
import { ensureUser, prepareFolders, writeAgentSettings, writeNodeSettings } from './host.ts'
import { prepareDatabaseContent } from './prepare-database.ts'
import { Service, waitFor } from './service.ts'
import { version } from './version.ts'

const say = (text: string) => process.stdout.write(`${text}\n`)
const inProject = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** One launcher a data folder: an abstract socket is a lock that goes with its holder, however that dies. */
const lockDataDir = (dataDir: string) =>
  new Promise<void>((resolve, reject) => {
    const lock = createServer()
    lock.once('error', () =>
      reject(
        new Error(`Another Sendense Hub uses ${dataDir}. End it first, or set SENDENSE_DATA_DIR to another folder.`),
      ),
    )
    lock.listen(`\0sendense-start:${dataDir}`, resolve)
    lock.unref()
  })

const portIsFree = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)))
  })

/** Our own node's port: the usual one, or the next that is free, so that hubs can stand side by side. */
const freePort = async (host: string, first: number): Promise<number> => {
  for (let port = first; port < first + 100; port++) if (await portIsFree(host, port)) return port
  throw new Error(
    `No port from ${first} to ${first + 99} is free for the local source node. Set SENDENSE_NODE_URL to a node that runs.`,
  )
}

const getStatus = (
  options: { socketPath: string; path: string } | { host: string; port: number; path: string },
): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ ...options, timeout: 5_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')))
    outgoing.on('error', reject)
    outgoing.end()
  })

const { values } = parseArgs({ options: { 'rotate-keys': { type: 'boolean', default: false } } })
const settings = readSettings(process.env)
await lockDataDir(settings.dataDir)
const connectHost = settings.host === '0.0.0.0' ? '127.0.0.1' : settings.host === '::' ? '::1' : settings.host
if (!(await portIsFree(settings.host, settings.port)))
  throw new Error(`Port ${settings.port} on ${settings.host} is in use. Set SENDENSE_PORT to a free one.`)
const ids = ensureUser()
await prepareFolders(settings, ids)

const services: Service[] = []
let stopping = false
/** Ends what was started, newest first: the hub before the agent, the agent before the database. */
const stopAll = async (exitCode: number) => {
  if (stopping) return
  stopping = true
  for (const service of services.toReversed()) await service.stop()
  // Nothing but sockets lies there.
  await rm(settings.runDir, { recursive: true, force: true })
  process.exit(exitCode)
}
const run = (service: Service): Service => {
  services.push(service)
  service.start()
  void service.gaveUp.then((error) => {
    process.stderr.write(`${error.message}\n`)
    return stopAll(1)
  })
  return service
}
process.on('SIGINT', () => void stopAll(0))
process.on('SIGTERM', () => void stopAll(0))
process.on('SIGHUP', () => void stopAll(0))
// npm that is killed outright tells nobody: its child finds itself with another parent.
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stopAll(0)
  }, 1_000).unref()
}

const startDatabase = async (): Promise<string> => {
  if (settings.databaseUrl === undefined) {
    const service = run(new Service(await prepareDatabase(settings, ids)))
    // Another server's answer on a stale socket would be no answer of ours: the pid file names who is there.
    const pidFile = join(settings.dataDir, 'database/mariadbd.pid')
    await waitFor(
      'the database',
      async () =>
        Number(await readFile(pidFile, 'utf8')) === service.pid &&
        (await access(databaseSocket(settings)).then(() => true)),
      60_000,
    )
  }
  return prepareDatabaseContent(settings, values['rotate-keys'])
}

const baseEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', NODE_ENV: 'production' }
const dieWithUs = ['--pdeathsig', 'TERM', '--', process.execPath]

const startAgent = async () => {
  const file = await writeAgentSettings(settings, ids)
  run(
    new Service({
      name: 'host-agent',
      command: '/usr/bin/setpriv',
      args: [...dieWithUs, inProject('../host-agent/main.js'), '--settings', file],
      // A hung guest filesystem holds a thread of the pool for each read; there must be more of them than mounts.
      env: { ...baseEnv, UV_THREADPOOL_SIZE: '24' },
      logFile: join(settings.dataDir, 'logs/host-agent.log'),
      graceMs: 60_000,
    }),
  )
  await waitFor(
    'the host-agent',
    async () => (await getStatus({ socketPath: settings.agentSocket, path: '/health' })).status === 200,
    60_000,
  )
}

/** @returns the node's URL */
const startNode = async (): Promise<string> => {
  if (!settings.localNode) return settings.nodeUrl
  const { host, port: first } = settings.localNode
  const port = await freePort(host, first)
  const file = await writeNodeSettings(settings, { host, port })
  run(
    new Service({
      name: 'source-node',
      command: '/usr/bin/setpriv',
      args: [...dieWithUs, inProject('../source-node/main.js'), '--settings', file],
      env: baseEnv,
      logFile: join(settings.dataDir, 'logs/source-node.log'),
      graceMs: 15_000,
    }),
  )
  await waitFor(
    'the source node',
    async () => (await getStatus({ host, port, path: '/api/v1/health' })).status === 200,
    60_000,
  )
  return `http://${host}:${port}`
}

const startHub = async (nodeUrl: string) => {
  const own = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => /^(SENDENSE_|DATABASE_URL$)/.test(name) && name !== 'SENDENSE_ADMIN_PASSWORD',
    ),
  ) as Record<string, string>
  run(
    new Service({
      name: 'hub',
      command: process.execPath,
      // It keeps nothing for long: a heap that may grow to gigabytes would only be collected later. Collected by threads that wait for one another
      // its garbage took 3 s of processor time for each GiB of a download; by one thread 0.4 s.
      // Room for young objects: with less of it a tenth of a busy hub's time went into copying those that were still in use.
      args: ['--max-old-space-size=512', '--max-semi-space-size=32', '--single-threaded-gc', inProject('./main.js')],
      env: { ...baseEnv, ...own, SENDENSE_NODE_URL: nodeUrl },
      logFile: join(settings.dataDir, 'logs/hub.log'),
      graceMs: 10_000,
      ipc: true,
    }),
  )
  const answers = async () => {
    const { status, body } = await getStatus({ host: connectHost, port: settings.port, path: '/health' })
    const { checks } = JSON.parse(body) as { checks: Record<string, string> }
    return (
      status === 200 && checks.host_agent === 'ok' && (settings.localNode === undefined || checks.source_node === 'ok')
    )
  }
  await waitFor('the hub', answers, 60_000)
}

try {
  const where = await startDatabase()
  await startAgent()
  const nodeUrl = await startNode()
  await startHub(nodeUrl)
  for (const service of services) service.neverGiveUp()
  say('')
  say(`Sendense Hub ${version} is ready.`)
  say(
    `  address   http://${connectHost.includes(':') ? `[${connectHost}]` : connectHost}:${settings.port}   (API pages: /swagger/)`,
  )
  say(`  user      ${firstUsername}`)
  say(`  password  ${where}`)
  say(`  sources   ${settings.localNode ? settings.sourcesFile : nodeUrl}`)
  say(`  logs      ${join(settings.dataDir, 'logs')}`)
  say('Ctrl-C ends it.')
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
  for (const service of services) process.stderr.write(`${service.logTail()}\n`)
  await stopAll(1)
}
