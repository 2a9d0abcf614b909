/**
 * A hub whose clock and rounds are its parent's to move: it serves the functions, and does one round of each cron when it is told the time. Its source node
 * refuses some of the backups. Usage: fork(site-hub.js, [settings as JSON])
 */
import { createAdaptorServer } from '@hono/node-server'
import { HubError } from '../../contract/errors.ts'
import { openDatabase } from '../../db/database.ts'
import { openAgentClient } from '../../runtime/bindings/agent.ts'
import { openEvents } from '../../runtime/bindings/events.ts'
import type { Bindings } from '../../runtime/bindings/index.ts'
import { type KeyFile, openKeys } from '../../runtime/bindings/keys.ts'
import { openLogins } from '../../runtime/bindings/logins.ts'
import { openNodeClient } from '../../runtime/bindings/node.ts'
import { openNotifier } from '../../runtime/bindings/notifier.ts'
import { RequestLog } from '../../runtime/bindings/runtime-info.ts'
import { loadFunctions } from '../../runtime/load.ts'
import { createApp } from '../../runtime/router.ts'
import { applyDueRetention } from '../../workflows/apply-retention.ts'
import { runMerges } from '../../workflows/merge-backups.ts'
import { reconcileJobs } from '../../workflows/reconcile-jobs.ts'
import { runSchedules } from '../../workflows/run-schedules.ts'
import { routeMap } from '../../wrangler-style.config.ts'

export type SiteHubSettings = {
  databaseSocket: string
  database: string
  agentSocket: string
  nodeUrl: string
  keys: KeyFile
  port: number
  nbdPorts: { first: number; last: number }
  chainLimit: number
  now: number
  /** Of the backups that it starts, so many percent are refused by the node. */
  refusedPercent: number
}
export type Told = { now: number }
export type Answer = { errors: string[] }

const settings = JSON.parse(process.argv[2]!) as SiteHubSettings
let now = settings.now
const map = routeMap(60)
const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const loaded = await loadFunctions(map, new URL('../../functions/', import.meta.url), suffix)
const db = openDatabase({ socketPath: settings.databaseSocket, user: 'root', database: settings.database })
const node = openNodeClient(settings.nodeUrl)
const bindings: Bindings = {
  DB: db,
  AGENT: openAgentClient(settings.agentSocket),
  NODE: {
    ...node,
    startBackup: async (request) => {
      if (Math.random() * 100 < settings.refusedPercent)
        throw new HubError('NODE_ERROR', 'The source node answered with an error', {
          details: 'one of those that fail',
        })
      return node.startBackup(request)
    },
  },
  KEYS: openKeys(settings.keys),
  LOGINS: openLogins(db),
  CLOCK: { now: () => new Date(now) },
  SETTINGS: {
    version: 'site',
    hubUrl: `http://127.0.0.1:${settings.port}`,
    restoreSlots: 8,
    mountIdleSeconds: 3600,
    stallSeconds: 60,
    stallFailSeconds: 300,
    chainLimit: settings.chainLimit,
    nbdPorts: settings.nbdPorts,
    tokenlessCallbacks: false,
    sftp: null,
  },
  NOTIFIER: openNotifier('site'),
  EVENTS: openEvents(async () => []),
  RUNTIME: {
    startedAt: new Date(now),
    version: process.version,
    cpuCores: 1,
    memory: () => ({ rss: 1, heap_used: 1, heap_total: 1 }),
    swaggerAsset: () => undefined,
    routes: () => [],
    openapi: () => ({}),
    requests: new RequestLog(),
  },
}
const app = createApp(loaded.routes, bindings, { limits: map.limits, corsOrigins: [] })
const server = createAdaptorServer({ fetch: app.fetch })
await new Promise<void>((resolve) => server.listen(settings.port, '127.0.0.1', resolve))

const rounds: ((env: Bindings) => Promise<unknown>)[] = [
  runSchedules,
  reconcileJobs,
  applyDueRetention,
  (env) => runMerges(env, 5_000),
]
process.on('message', async (told: Told) => {
  now = told.now
  const errors: string[] = []
  for (const round of rounds)
    await round(bindings).catch((error: Error) => errors.push(`${error.message} ${(error as HubError).details ?? ''}`))
  process.send!({ errors } satisfies Answer)
})
process.on('disconnect', () => process.exit(0))
process.send!({ errors: [] } satisfies Answer)
