/** Calls functions alone: the real runtime around them, a real database, a fake agent and node. */
import { randomUUID } from 'node:crypto'
import type { AgentApi } from '../../contract/agent.ts'
import type { Role } from '../../contract/api/auth.ts'
import { HubError } from '../../contract/errors.ts'
import type { Database } from '../../db/database.ts'
import { liveSubjects } from '../../db/queries/live.ts'
import { insertUser } from '../../db/queries/users.ts'
import { openEvents } from '../../runtime/bindings/events.ts'
import type { Bindings } from '../../runtime/bindings/index.ts'
import { newKeyFile, openKeys } from '../../runtime/bindings/keys.ts'
import { openLogins } from '../../runtime/bindings/logins.ts'
import { openNotifier } from '../../runtime/bindings/notifier.ts'
import { RequestLog } from '../../runtime/bindings/runtime-info.ts'
import { type Loaded, loadFunctions } from '../../runtime/load.ts'
import { log } from '../../runtime/log.ts'
import { openapiDocument } from '../../runtime/openapi.ts'
import { hashPassword } from '../../runtime/passwords.ts'
import { createApp, registrations } from '../../runtime/router.ts'
import type { TokenUser } from '../../runtime/tokens.ts'
import { routeMap } from '../../wrangler-style.config.ts'
import { FakeAgent } from '../fakes/agent.ts'
import { FakeNode } from '../fakes/node.ts'
import { freshDatabase } from './database.ts'
import { rememberError } from './seen-errors.ts'

// Refusals are what these tests provoke; the answers are looked at, not the log. Only what nobody thought of is kept.
let lastInternal = ''
log.level = 'silent'
log.error = ((fields: { code?: string; causes?: string[] }) => {
  if (fields.code === 'INTERNAL') lastInternal = fields.causes?.join('\n') ?? ''
}) as typeof log.error

export class TestClock {
  at: Date
  constructor(at: Date) {
    this.at = at
  }
  now = () => new Date(this.at)
  advance(seconds: number) {
    this.at = new Date(this.at.getTime() + seconds * 1000)
  }
}

export type Reply = { status: number; body: any; headers: Headers }
export type Alone = {
  db: Database
  agent: FakeAgent
  node: FakeNode
  clock: TestClock
  bindings: Bindings
  loaded: Loaded
  tokens: { admin: string; operator: string; viewer: string }
  /** An admin's token as of the test's clock: those above end with their day. */
  freshToken: () => Promise<string>
  /** As admin unless `token` says otherwise; `token: null` sends none. */
  call: (
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string | null; headers?: Record<string, string> },
  ) => Promise<Reply>
  app: ReturnType<typeof createApp>
  close: () => Promise<void>
}

export const password = 'correct horse'

/** What an answer says; nothing for live events, which end with the test's hub. */
export const textOf = (response: Response): Promise<string> | string =>
  response.headers.get('content-type')?.startsWith('text/event-stream') ? '' : response.text()

type Options = {
  /** Of the database server; outside of vitest there is no other way to know it. */
  databaseSocket?: string
  /** Instead of the fake. */
  realAgent?: AgentApi
  nbdPorts?: { first: number; last: number }
  /** What the test's clock says first. */
  now?: Date
}
const ownSuffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

export const openAlone = async ({
  databaseSocket,
  realAgent,
  nbdPorts = { first: 10100, last: 10200 },
  now = new Date('2026-03-01T12:00:00.000Z'),
}: Options = {}): Promise<Alone> => {
  const map = routeMap(60)
  const loaded = await loadFunctions(map, new URL('../../functions/', import.meta.url), ownSuffix)
  const socketPath = databaseSocket ?? (await import('vitest')).inject('databaseSocket')
  const [db, agent, node, clock] = [
    await freshDatabase(socketPath),
    new FakeAgent(),
    new FakeNode(),
    new TestClock(now),
  ]
  const keys = openKeys(newKeyFile())
  const bindings: Bindings = {
    DB: db,
    AGENT: realAgent ?? agent,
    NODE: node,
    KEYS: keys,
    LOGINS: openLogins(db),
    CLOCK: clock,
    SETTINGS: {
      version: 'test',
      hubUrl: 'http://127.0.0.1:8082',
      restoreSlots: 8,
      mountIdleSeconds: 3600,
      stallSeconds: 60,
      stallFailSeconds: 300,
      chainLimit: 30,
      nbdPorts,
      tokenlessCallbacks: false,
      sftp: null,
    },
    NOTIFIER: openNotifier('test'),
    EVENTS: openEvents((endedSince) => liveSubjects(db.orm, endedSince), 50),
    RUNTIME: {
      startedAt: clock.now(),
      version: process.version,
      cpuCores: 1,
      memory: () => ({ rss: 1, heap_used: 1, heap_total: 1 }),
      swaggerAsset: (file) =>
        file === 'index.html' ? { contentType: 'text/html', data: Buffer.from('<!doctype html>') } : undefined,
      routes: () =>
        registrations(loaded.routes).map(({ method, path, alias }) => ({
          method,
          path,
          legacy: alias?.legacy ?? false,
        })),
      openapi: () => openapiDocument(loaded.routes, 'test'),
      requests: new RequestLog(),
    },
  }
  const app = createApp(loaded.routes, bindings, {
    limits: map.limits,
    corsOrigins: ['https://console.example'],
    checkAnswers: true,
  })
  const routes = registrations(loaded.routes).map(({ method, path, route }) => ({
    method,
    pattern: new RegExp(`^${path.replace(/\{[^}]*\}/g, '[^/]+').replace('*', '.*')}$`),
    name: route.function,
  }))
  const noteError = (method: string, path: string, code: string) => {
    const route = routes.find((known) => known.method === method && known.pattern.test(path))
    // Only the functions' own tests are counted.
    if (route && databaseSocket === undefined) rememberError(route.name, code)
  }
  const tokens = {} as Alone['tokens']
  const users = {} as Record<Role, TokenUser>
  const passwordHash = await hashPassword(password)
  for (const role of ['admin', 'operator', 'viewer'] as const) {
    const user = { id: randomUUID(), username: role, role, passwordHash, displayName: role }
    await insertUser(db.orm, user)
    users[role] = { ...user, tokenVersion: 0 }
    tokens[role] = (await keys.userToken(users[role], clock.now())).token
  }
  return {
    db,
    agent,
    node,
    clock,
    bindings,
    loaded,
    tokens,
    freshToken: async () => (await keys.userToken(users.admin, clock.now())).token,
    app,
    call: async (method, path, body, { token = tokens.admin, headers = {} } = {}) => {
      const url = path.startsWith('root:') ? path.slice(5) : `/api/v1${path}`
      const response = await app.request(url, {
        method,
        headers: {
          ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await textOf(response)
      const isJson = response.headers.get('content-type')?.includes('application/json')
      const answered = isJson && text !== '' ? JSON.parse(text) : text
      if (response.status >= 400) noteError(method, new URL(url, 'http://hub').pathname, answered.code)
      return { status: response.status, body: answered, headers: response.headers }
    },
    close: async () => {
      bindings.EVENTS.close()
      await db.close()
    },
  }
}

export const gibibyte = 2 ** 30
/** A VM under management with a credential and a repository, ready to be backed up. */
export const readyVm = async (
  alone: Alone,
  { name = 'web', disks = [gibibyte, gibibyte / 2], path = `/backups/${randomUUID()}` } = {},
) => {
  const { call, node } = alone
  node.vms = [
    ...node.vms.filter((vm) => vm.name !== name),
    {
      id: `vm-${name}`,
      name,
      path: `/DC1/vm/${name}`,
      power_state: 'poweredOn',
      num_cpu: 2,
      memory_mb: 2048,
      guest_os: 'debian',
      disks: disks.map((capacity_bytes, at) => ({
        id: `disk-${at}`,
        label: `Disk ${at}`,
        path: `[ds] ${name}-${at}.vmdk`,
        capacity_bytes,
      })),
    },
  ] as typeof node.vms
  const known = await call('GET', '/vmware-credentials')
  const credentialId: number =
    known.body.credentials[0]?.id ??
    (
      await call('POST', '/vmware-credentials', {
        credential_name: 'vc',
        vcenter_host: 'vc.example',
        username: 'backup',
        password: 'secret-of-vc',
        datacenter: 'DC1',
      })
    ).body.credential.id
  const added = await call('POST', '/discovery/add-vms', { credential_id: credentialId, vm_names: [name] })
  if (added.status !== 200) throw new HubError('INTERNAL', JSON.stringify(added.body))
  const repository = await call('POST', '/repositories', {
    name: `repository of ${name} ${randomUUID()}`,
    type: 'local',
    config: { path },
  })
  return {
    vmName: name,
    contextId: added.body.processed_vms[0].context_id as string,
    credentialId,
    repositoryId: repository.body.repository_id as string,
  }
}

/** A backup that is completed, all of its disks with change ids. */
export const completedBackup = async (
  alone: Alone,
  vm: { vmName: string; repositoryId: string },
  type: 'full' | 'incremental' = 'full',
) => {
  const started = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: type,
  })
  if (started.status !== 200) throw new HubError('INTERNAL', `${JSON.stringify(started.body)}\n${lastInternal}`)
  alone.clock.advance(1)
  const id: string = started.body.backup_id
  await alone.call('POST', `/backups/${id}/complete`, {
    disks: started.body.disk_results.map((disk: { disk_index: number }) => ({
      disk_index: disk.disk_index,
      change_id: `change ${id} ${disk.disk_index}`,
    })),
  })
  return started.body as {
    backup_id: string
    disk_results: { disk_index: number; nbd_port: number; nbd_export_name: string }[]
  }
}
