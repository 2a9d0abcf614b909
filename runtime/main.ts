/**
 * The hub: mounts the functions and serves them. Started as root it reads its keys and then gives root up before it listens.
 * Usage: node main.js (settings in the environment, see wrangler-style.config.ts)
 */
import { readFile } from 'node:fs/promises'
import { cpus, userInfo } from 'node:os'
import { createAdaptorServer } from '@hono/node-server'
import { openDatabase } from '../db/database.ts'
import { liveSubjects } from '../db/queries/live.ts'
import { readSettings, routeMap } from '../wrangler-style.config.ts'
import { openAgentClient } from './bindings/agent.ts'
import { openEvents } from './bindings/events.ts'
import type { Bindings } from './bindings/index.ts'
import { keyFileSchema, openKeys } from './bindings/keys.ts'
import { openLogins } from './bindings/logins.ts'
import { openNodeClient } from './bindings/node.ts'
import { openNotifier } from './bindings/notifier.ts'
import { RequestLog } from './bindings/runtime-info.ts'
import { type Crons, startCrons } from './crons.ts'
import { databaseAddress } from './database-address.ts'
import { loadGui } from './gui.ts'
import { loadFunctions } from './load.ts'
import { log } from './log.ts'
import { openapiDocument } from './openapi.ts'
import { dropPrivileges } from './privileges.ts'
import { createApp, registrations } from './router.ts'
import { openSftpDoor } from './sftp-door.ts'
import { loadSwaggerAssets } from './swagger-assets.ts'
import { projectRoot, version } from './version.ts'

const settings = readSettings(process.env)
const map = routeMap(settings.stallSeconds)
const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const loaded = await loadFunctions(map, new URL('../functions/', import.meta.url), suffix)
const keys = openKeys(keyFileSchema.parse(JSON.parse(await readFile(settings.keyFile, 'utf8'))))
const swagger = await loadSwaggerAssets(projectRoot)
const gui = await loadGui(new URL('dist-gui/', projectRoot))

// The database driver loads parts of itself with its first connection; afterwards the checkout may be out of reach.
const warmUp = openDatabase(databaseAddress(settings, userInfo().username))
await warmUp.ping()
await warmUp.close()

await dropPrivileges()

const db = openDatabase(databaseAddress(settings))
const agent = openAgentClient(settings.agentSocket)
let openapi: unknown
const clock = { now: () => new Date() }
const sftp = await openSftpDoor({ DB: db, AGENT: agent, KEYS: keys, CLOCK: clock }, settings)
const bindings: Bindings = {
  DB: db,
  AGENT: agent,
  NODE: openNodeClient(settings.nodeUrl),
  KEYS: keys,
  LOGINS: openLogins(db),
  CLOCK: clock,
  SETTINGS: {
    version,
    hubUrl: settings.hubUrl,
    restoreSlots: settings.restoreSlots,
    mountIdleSeconds: settings.mountIdleSeconds,
    stallSeconds: settings.stallSeconds,
    stallFailSeconds: settings.stallFailSeconds,
    chainLimit: settings.chainLimit,
    nbdPorts: settings.nbdPorts,
    tokenlessCallbacks: settings.tokenlessCallbacks,
    sftp: sftp && { port: sftp.port, host_key: sftp.hostKeyFingerprint },
  },
  NOTIFIER: openNotifier(version),
  EVENTS: openEvents((endedSince) => liveSubjects(db.orm, endedSince)),
  RUNTIME: {
    startedAt: new Date(),
    version: `node ${process.version}`,
    cpuCores: cpus().length,
    memory: () => {
      const { rss, heapUsed, heapTotal } = process.memoryUsage()
      return { rss, heap_used: heapUsed, heap_total: heapTotal }
    },
    swaggerAsset: (file) => swagger.get(file),
    routes: () =>
      registrations(loaded.routes).map(({ method, path, alias }) => ({ method, path, legacy: alias?.legacy ?? false })),
    openapi: () => (openapi ??= openapiDocument(loaded.routes, version)),
    requests: new RequestLog(),
  },
}
if (settings.tokenlessCallbacks)
  log.warn('callbacks from loopback are accepted without a token (SENDENSE_TOKENLESS_CALLBACKS)')

let crons: Crons | undefined
const app = createApp(loaded.routes, bindings, {
  limits: map.limits,
  corsOrigins: settings.corsOrigins,
  gui,
  answered: (functionName) => crons?.answered(functionName),
})
const server = createAdaptorServer({
  fetch: app.fetch,
  // A request must be here within a minute; answers may take as long as they flow.
  serverOptions: { requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 10_000, maxHeaderSize: 32 * 1024 },
})
await new Promise<void>((resolve, reject) => {
  server.once('error', reject)
  server.listen(settings.port, settings.host, resolve)
})
crons = startCrons(loaded.crons, bindings)
log.info({ host: settings.host, port: settings.port }, 'hub is ready')
process.send?.('ready')

/** Longest wait for answers that are under way; the rest goes on after the next start. */
const graceMs = 5_000
let stopping = false
const stop = async (why: string) => {
  if (stopping) return
  stopping = true
  log.info({ why }, 'hub is stopping')
  setTimeout(() => process.exit(0), graceMs).unref()
  server.close()
  sftp?.close()
  bindings.EVENTS.close()
  await crons?.stop()
  await db.close()
  agent.close()
  process.exit(0)
}
process.on('SIGTERM', () => void stop('SIGTERM'))
process.on('SIGINT', () => void stop('SIGINT'))
// The launcher is gone: giving root up has also given up the kernel's word of its death.
process.on('disconnect', () => void stop('the launcher has ended'))
