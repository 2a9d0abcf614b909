/**
 * The one map: routes, bindings, crons, limits, and the settings behind them. Environment variables are read here and nowhere else.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { z } from 'zod'
import { hostFilesystems } from './contract/settings.ts'
import type { BindingName } from './runtime/bindings/index.ts'
import type { Cron, Route, RouteMap } from './runtime/config.ts'

// ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const integer = (min: number, max: number) =>
  z.string().regex(/^\d+$/, 'must be a whole number').transform(Number).pipe(z.int().min(min).max(max))
const portRange = z
  .string()
  .regex(/^\d+-\d+$/, 'must look like 10100-10200')
  .transform((text) => {
    const [first, last] = text.split('-').map(Number) as [number, number]
    return { first, last }
  })
  .refine(
    ({ first, last }) => first >= 1024 && last <= 65535 && first <= last && last - first < 10_000,
    'must be a range of ports from 1024 to 65535',
  )
const filesystems = z
  .string()
  .default('auto')
  .transform((text) => (text === 'auto' ? text : text === 'none' ? [] : text.split(',').map((name) => name.trim())))
  .pipe(
    z.union(
      [z.literal('auto'), z.array(z.enum(hostFilesystems))],
      `must be auto, none, or some of ${hostFilesystems.join(', ')}`,
    ),
  )
const url = (protocols: RegExp) =>
  z.string().refine((text) => {
    const parsed = URL.canParse(text) ? new URL(text) : undefined
    return parsed !== undefined && protocols.test(parsed.protocol)
  }, 'is not a URL of the right kind')

const defaultNodeUrl = 'http://127.0.0.1:9081'

const environment = z.object({
  SENDENSE_DATA_DIR: z.string().min(1).default('/var/lib/sendense'),
  SENDENSE_HOST: z.string().min(1).default('127.0.0.1'),
  SENDENSE_PORT: integer(1, 65535).default(8082),
  DATABASE_URL: url(/^mysql:$/).optional(),
  SENDENSE_ADMIN_PASSWORD: z.string().min(1).max(1024).optional(),
  /** 0: SFTP is not served. */
  SENDENSE_SFTP_PORT: integer(0, 65535).default(8022),
  SENDENSE_NODE_URL: url(/^https?:$/).default(defaultNodeUrl),
  SENDENSE_HUB_URL: url(/^https?:$/).optional(),
  SENDENSE_AGENT_SOCKET: z.string().startsWith('/').max(100).optional(),
  SENDENSE_RESTORE_ROOT: z.string().startsWith('/').default('/mnt/sendense/restore'),
  SENDENSE_NBD_PORTS: portRange.default({ first: 10100, last: 10200 }),
  SENDENSE_RESTORE_SLOTS: integer(1, 64).default(8),
  SENDENSE_MOUNT_IDLE_SECONDS: integer(1, 7 * 24 * 3600).default(3600),
  SENDENSE_STALL_SECONDS: integer(1, 24 * 3600).default(60),
  SENDENSE_STALL_FAIL_SECONDS: integer(1, 7 * 24 * 3600).default(300),
  SENDENSE_CHAIN_LIMIT: integer(2, 1000).default(30),
  SENDENSE_SOURCES: z.string().min(1).optional(),
  SENDENSE_CORS_ORIGINS: z
    .string()
    .transform((text) =>
      text
        .split(',')
        .map((origin) => origin.trim())
        .filter((origin) => origin !== ''),
    )
    .default([]),
  SENDENSE_TOKENLESS_CALLBACKS: z.enum(['off', 'loopback']).default('off'),
  /** Set by a service manager that hands over what only root may read. */
  CREDENTIALS_DIRECTORY: z.string().startsWith('/').optional(),
  SENDENSE_HOST_MOUNTS: filesystems,
  SENDENSE_MACHINE_MOUNTS: filesystems,
  SENDENSE_ATTACH_BACKEND: z.enum(['auto', 'kernel-nbd', 'userspace']).default('auto'),
})

export type Settings = ReturnType<typeof readSettings>

/** @throws one Error that names every wrong variable */
export const readSettings = (variables: Record<string, string | undefined>) => {
  // An empty variable is one that is not set.
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''))
  const result = environment.safeParse(given)
  if (!result.success)
    throw new Error(
      `These settings are wrong:\n${result.error.issues.map(({ path, message }) => `- ${path.join('.')}: ${message}`).join('\n')}`,
    )
  const env = result.data
  if (env.SENDENSE_STALL_FAIL_SECONDS < env.SENDENSE_STALL_SECONDS)
    throw new Error(
      'These settings are wrong:\n- SENDENSE_STALL_FAIL_SECONDS: must not be less than SENDENSE_STALL_SECONDS',
    )
  const dataDir = resolve(env.SENDENSE_DATA_DIR)
  // Socket paths are short whatever the data folder is called: the kernel takes 107 bytes.
  const runDir = `/run/sendense/${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`
  const anyAddress = env.SENDENSE_HOST === '0.0.0.0' || env.SENDENSE_HOST === '::'
  const nodeUrl = new URL(env.SENDENSE_NODE_URL)
  return Object.freeze({
    dataDir,
    runDir,
    keyFile: `${env.CREDENTIALS_DIRECTORY ?? dataDir}/keys.json`,
    host: env.SENDENSE_HOST,
    port: env.SENDENSE_PORT,
    sftpPort: env.SENDENSE_SFTP_PORT,
    databaseUrl: env.DATABASE_URL,
    adminPassword: env.SENDENSE_ADMIN_PASSWORD,
    nodeUrl: env.SENDENSE_NODE_URL,
    /** A node of our own is started unless another address is named. */
    localNode:
      nodeUrl.href === new URL(defaultNodeUrl).href
        ? { host: nodeUrl.hostname, port: Number(nodeUrl.port) }
        : undefined,
    hubUrl:
      env.SENDENSE_HUB_URL ??
      `http://${anyAddress ? '127.0.0.1' : env.SENDENSE_HOST.includes(':') ? `[${env.SENDENSE_HOST}]` : env.SENDENSE_HOST}:${env.SENDENSE_PORT}`,
    agentSocket: env.SENDENSE_AGENT_SOCKET ?? `${runDir}/agent.sock`,
    restoreRoot: resolve(env.SENDENSE_RESTORE_ROOT),
    nbdPorts: env.SENDENSE_NBD_PORTS,
    restoreSlots: env.SENDENSE_RESTORE_SLOTS,
    mountIdleSeconds: env.SENDENSE_MOUNT_IDLE_SECONDS,
    stallSeconds: env.SENDENSE_STALL_SECONDS,
    stallFailSeconds: env.SENDENSE_STALL_FAIL_SECONDS,
    chainLimit: env.SENDENSE_CHAIN_LIMIT,
    sourcesFile: env.SENDENSE_SOURCES ?? `${dataDir}/sources.json`,
    corsOrigins: env.SENDENSE_CORS_ORIGINS,
    tokenlessCallbacks: env.SENDENSE_TOKENLESS_CALLBACKS === 'loopback',
    hostMounts: env.SENDENSE_HOST_MOUNTS,
    machineMounts: env.SENDENSE_MACHINE_MOUNTS,
    attachBackend: env.SENDENSE_ATTACH_BACKEND,
  })
}

// ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const get = (
  path: string,
  fn: string,
  role: Route['role'],
  bindings: readonly BindingName[],
  more: Partial<Route> = {},
): Route => ({ method: 'GET', path, function: fn, role, bindings, ...more })
const post = (
  path: string,
  fn: string,
  role: Route['role'],
  bindings: readonly BindingName[],
  more: Partial<Route> = {},
): Route => ({ method: 'POST', path, function: fn, role, bindings, ...more })
const put = (path: string, fn: string, role: Route['role'], bindings: readonly BindingName[]): Route => ({
  method: 'PUT',
  path,
  function: fn,
  role,
  bindings,
})
const patch = (path: string, fn: string, role: Route['role'], bindings: readonly BindingName[]): Route => ({
  method: 'PATCH',
  path,
  function: fn,
  role,
  bindings,
})
const del = (
  path: string,
  fn: string,
  role: Route['role'],
  bindings: readonly BindingName[],
  more: Partial<Route> = {},
): Route => ({ method: 'DELETE', path, function: fn, role, bindings, ...more })

/** What it takes to start a backup. */
const startsBackups: readonly BindingName[] = ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS']

const routes: Route[] = [
  post('/auth/login', 'auth/login', 'open', ['DB', 'KEYS', 'CLOCK', 'LOGINS']),
  post('/auth/logout', 'auth/logout', 'viewer', []),
  get('/auth/me', 'auth/me', 'viewer', ['DB']),
  post('/auth/change-password', 'auth/change-password', 'viewer', ['DB', 'KEYS', 'CLOCK', 'LOGINS']),

  get('/users', 'users/list', 'admin', ['DB']),
  post('/users', 'users/create', 'admin', ['DB', 'LOGINS']),
  patch('/users/{id}', 'users/update', 'admin', ['DB']),
  post('/users/{id}/reset-password', 'users/reset-password', 'admin', ['DB', 'LOGINS']),
  get('/api-tokens', 'api-tokens/list', 'viewer', ['DB']),
  post('/api-tokens', 'api-tokens/create', 'viewer', ['DB', 'KEYS', 'CLOCK']),
  del('/api-tokens/{id}', 'api-tokens/delete', 'viewer', ['DB']),
  get('/admin/audit', 'admin/audit', 'admin', ['DB']),
  get('/admin/doctor', 'admin/doctor/show', 'admin', ['AGENT']),
  post('/admin/doctor', 'admin/doctor/start', 'admin', ['AGENT']),

  get('/health', 'health/show', 'open', ['DB', 'AGENT', 'NODE', 'CLOCK', 'SETTINGS', 'RUNTIME'], {
    aliases: [{ path: '/health', root: true }],
  }),
  get('/swagger/*', 'swagger/show', 'open', ['RUNTIME'], {
    root: true,
    aliases: [{ path: '/swagger/*', role: 'viewer' }],
  }),
  get('/openapi.json', 'swagger/openapi', 'open', ['RUNTIME'], { root: true }),
  get('/events', 'events/stream', 'viewer', ['EVENTS']),
  get('/metrics', 'metrics/show', 'viewer', ['DB', 'CLOCK', 'SETTINGS'], {
    aliases: [{ path: '/metrics', root: true }],
  }),
  get('/summary', 'summary/show', 'viewer', ['DB', 'CLOCK']),
  get('/debug/health', 'debug/health', 'viewer', ['DB', 'AGENT', 'NODE', 'CLOCK', 'RUNTIME']),
  get('/debug/failover-jobs', 'debug/failover-jobs', 'viewer', ['DB', 'CLOCK']),
  get('/debug/endpoints', 'debug/endpoints', 'viewer', ['CLOCK', 'RUNTIME']),
  get('/debug/logs', 'debug/logs', 'viewer', ['CLOCK', 'RUNTIME']),

  get('/vm-contexts', 'vm-contexts/list', 'viewer', ['DB']),
  get('/vm-contexts/by-id/{context_id}', 'vm-contexts/show-by-id', 'viewer', ['DB']),
  get('/vm-contexts/{vm_name}', 'vm-contexts/show', 'viewer', ['DB']),
  get('/vm-contexts/{vm_name}/disks', 'vm-contexts/disks', 'viewer', ['DB']),
  get('/vm-contexts/{context_id}/recent-jobs', 'vm-contexts/recent-jobs', 'viewer', ['DB']),

  get('/vms', 'vms/list', 'viewer', ['DB']),
  post('/vms/inventory', 'vms/inventory', 'operator', ['DB', 'CLOCK']),
  get('/vms/{id}', 'vms/show', 'viewer', ['DB']),

  post('/discovery/discover-vms', 'discovery/discover-vms', 'operator', ['DB', 'NODE', 'KEYS', 'CLOCK']),
  post('/discovery/add-vms', 'discovery/add-vms', 'operator', ['DB', 'NODE', 'KEYS', 'CLOCK']),
  post('/discovery/bulk-add', 'discovery/bulk-add', 'operator', ['DB', 'NODE', 'KEYS', 'CLOCK']),
  post('/discovery/preview', 'discovery/preview', 'operator', ['DB', 'NODE', 'KEYS', 'CLOCK']),
  get('/discovery/ungrouped-vms', 'discovery/ungrouped-vms', 'viewer', ['DB', 'CLOCK'], {
    aliases: [{ path: '/vm-contexts/ungrouped' }],
  }),

  get('/vmware-credentials', 'vmware-credentials/list', 'viewer', ['DB']),
  post('/vmware-credentials', 'vmware-credentials/create', 'admin', ['DB', 'KEYS']),
  get('/vmware-credentials/default', 'vmware-credentials/default', 'viewer', ['DB']),
  get('/vmware-credentials/{id}', 'vmware-credentials/show', 'viewer', ['DB']),
  put('/vmware-credentials/{id}', 'vmware-credentials/update', 'admin', ['DB', 'KEYS']),
  del('/vmware-credentials/{id}', 'vmware-credentials/delete', 'admin', ['DB']),
  put('/vmware-credentials/{id}/set-default', 'vmware-credentials/set-default', 'admin', ['DB']),
  post('/vmware-credentials/{id}/test', 'vmware-credentials/test', 'admin', ['DB', 'NODE', 'KEYS']),

  post('/backups', 'backups/start', 'operator', startsBackups, {
    aliases: [{ path: '/backup/start', legacy: true }],
  }),
  get('/backups', 'backups/list', 'viewer', ['DB'], { aliases: [{ path: '/backup/list', legacy: true }] }),
  get('/backups/chain', 'backups/chain', 'viewer', ['DB', 'AGENT'], {
    aliases: [
      { path: '/backup/chain', legacy: true },
      { path: '/backups/{vm_name}/chain', legacy: true, paramsAsQuery: true },
    ],
  }),
  get('/backups/stats', 'backups/stats', 'viewer', ['DB']),
  get('/backups/changeid', 'backups/changeid', 'viewer', ['DB', 'CLOCK'], { callback: true }),
  get('/backups/{backup_id}', 'backups/show', 'viewer', ['DB'], {
    aliases: [{ path: '/backup/{backup_id}', legacy: true }],
  }),
  del('/backups/{backup_id}', 'backups/delete', 'operator', ['DB', 'AGENT', 'CLOCK'], {
    aliases: [{ path: '/backup/{backup_id}', legacy: true }],
  }),
  post('/backups/{backup_id}/complete', 'backups/complete', 'operator', ['DB', 'AGENT', 'NODE', 'CLOCK'], {
    callback: true,
  }),
  post('/backups/{backup_id}/cancel', 'backups/cancel', 'operator', ['DB', 'AGENT', 'NODE', 'CLOCK']),
  get('/backups/{id}/copies', 'backups/copies', 'viewer', ['DB']),
  post('/backups/{id}/copy', 'backups/copy', 'operator', ['DB', 'AGENT', 'CLOCK']),
  post('/backups/{id}/heal', 'backups/heal', 'operator', ['DB', 'AGENT', 'CLOCK']),
  put('/backups/{backup_id}/protection', 'backups/protection', 'operator', ['DB']),
  post('/backups/{backup_id}/index', 'backups/index-files', 'operator', ['DB', 'CLOCK']),
  get('/backups/{backup_id}/diff/{other_id}', 'backups/diff', 'operator', ['DB']),
  get('/backups/{backup_id}/file', 'backups/file', 'operator', ['DB', 'AGENT'], { audited: 'downloads' }),
  get('/search', 'search/find', 'operator', ['DB']),
  get('/files/history', 'files/history', 'operator', ['DB']),
  post('/backups/{backup_id}/verify', 'backups/verify', 'operator', ['DB', 'CLOCK']),
  del('/backups/{backup_id}/verify', 'backups/stop-verify', 'operator', ['DB']),

  post('/telemetry/{job_type}/{job_id}', 'telemetry/report', 'operator', ['DB', 'AGENT', 'NODE', 'CLOCK'], {
    callback: true,
    audited: 'refusals',
  }),

  post('/restore/mount', 'restore/mount', 'operator', ['DB', 'AGENT', 'CLOCK', 'SETTINGS']),
  get('/restore/mounts', 'restore/mounts', 'viewer', ['DB', 'AGENT', 'CLOCK']),
  get('/restore/resources', 'restore/resources', 'viewer', ['AGENT']),
  get('/restore/cleanup-status', 'restore/cleanup-status', 'viewer', ['AGENT']),
  get('/restore/{mount_id}', 'restore/show', 'viewer', ['DB', 'AGENT', 'CLOCK']),
  del('/restore/{mount_id}', 'restore/unmount', 'operator', ['DB', 'AGENT', 'CLOCK']),
  get('/restore/{mount_id}/files', 'restore/files', 'viewer', ['DB', 'AGENT', 'CLOCK']),
  get('/restore/{mount_id}/file-info', 'restore/file-info', 'viewer', ['DB', 'AGENT', 'CLOCK']),
  get('/restore/{mount_id}/download', 'restore/download', 'operator', ['DB', 'AGENT', 'CLOCK'], {
    downloadToken: true,
  }),
  get('/restore/{mount_id}/download-directory', 'restore/download-directory', 'operator', ['DB', 'AGENT', 'CLOCK'], {
    downloadToken: true,
  }),
  post('/restore/{mount_id}/download-token', 'restore/download-token', 'operator', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  post('/restore/{mount_id}/archive', 'restore/archive', 'operator', ['DB', 'AGENT', 'CLOCK']),
  post('/restore/{mount_id}/access', 'restore/access', 'operator', ['DB', 'AGENT', 'CLOCK', 'KEYS', 'SETTINGS']),
  { method: 'OPTIONS', path: '/restore/{mount_id}/dav/*', function: 'restore/dav/options', role: 'open', bindings: [] },
  {
    method: 'PROPFIND',
    path: '/restore/{mount_id}/dav/*',
    function: 'restore/dav/propfind',
    role: 'viewer',
    bindings: ['DB', 'AGENT', 'CLOCK'],
    basic: true,
    audited: 'refusals',
  },
  get('/restore/{mount_id}/dav/*', 'restore/dav/get', 'operator', ['DB', 'AGENT', 'CLOCK'], {
    basic: true,
    audited: 'downloads',
  }),

  post('/repositories', 'repositories/create', 'admin', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  get('/repositories', 'repositories/list', 'viewer', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  post('/repositories/test', 'repositories/test', 'admin', ['AGENT', 'CLOCK']),
  post('/repositories/refresh-storage', 'repositories/refresh-storage', 'admin', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  get('/repositories/storage-summary', 'repositories/storage-summary', 'viewer', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  get('/repositories/{id}', 'repositories/show', 'viewer', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  patch('/repositories/{id}', 'repositories/update', 'admin', ['DB', 'AGENT', 'CLOCK', 'KEYS']),
  del('/repositories/{id}', 'repositories/delete', 'admin', ['DB', 'AGENT']),
  get('/repositories/{id}/storage', 'repositories/storage', 'viewer', ['DB', 'AGENT', 'CLOCK', 'KEYS']),

  post('/nbd/ports/allocate', 'nbd/ports/allocate', 'admin', ['DB', 'CLOCK', 'SETTINGS']),
  post('/nbd/ports/release', 'nbd/ports/release', 'admin', ['DB', 'AGENT']),
  get('/nbd/ports/status', 'nbd/ports/status', 'admin', ['DB', 'CLOCK', 'SETTINGS']),
  post('/nbd/qemu-nbd/start', 'nbd/qemu-nbd/start', 'admin', ['DB', 'AGENT', 'CLOCK', 'SETTINGS']),
  post('/nbd/qemu-nbd/stop', 'nbd/qemu-nbd/stop', 'admin', ['DB', 'AGENT']),
  get('/nbd/qemu-nbd/list', 'nbd/qemu-nbd/list', 'admin', ['AGENT']),

  post('/policies', 'policies/create', 'admin', ['DB']),
  get('/policies', 'policies/list', 'viewer', ['DB']),
  get('/policies/{id}', 'policies/show', 'viewer', ['DB']),
  get('/policies/{id}/retention', 'policies/retention', 'viewer', ['DB', 'CLOCK']),
  put('/policies/{id}', 'policies/update', 'admin', ['DB']),
  del('/policies/{id}', 'policies/delete', 'admin', ['DB']),

  post('/notifications', 'notifications/create', 'admin', ['DB', 'KEYS']),
  get('/notifications', 'notifications/list', 'admin', ['DB']),
  get('/notifications/{id}', 'notifications/show', 'admin', ['DB']),
  put('/notifications/{id}', 'notifications/update', 'admin', ['DB', 'KEYS']),
  del('/notifications/{id}', 'notifications/delete', 'admin', ['DB']),
  post('/notifications/{id}/test', 'notifications/test', 'admin', ['DB', 'KEYS', 'CLOCK', 'NOTIFIER']),
  get('/notifications/{id}/deliveries', 'notifications/deliveries', 'admin', ['DB']),

  post('/schedules', 'schedules/create', 'operator', ['DB', 'CLOCK']),
  get('/schedules', 'schedules/list', 'viewer', ['DB', 'CLOCK']),
  get('/schedules/{id}', 'schedules/show', 'viewer', ['DB']),
  put('/schedules/{id}', 'schedules/update', 'operator', ['DB', 'CLOCK']),
  del('/schedules/{id}', 'schedules/delete', 'operator', ['DB', 'CLOCK']),
  post('/schedules/{id}/enable', 'schedules/enable', 'operator', ['DB', 'CLOCK']),
  post('/schedules/{id}/trigger', 'schedules/trigger', 'operator', startsBackups),
  get('/schedules/{id}/executions', 'schedules/executions', 'viewer', ['DB', 'CLOCK']),

  post('/machine-groups', 'machine-groups/create', 'operator', ['DB']),
  get('/machine-groups', 'machine-groups/list', 'viewer', ['DB', 'CLOCK']),
  get('/machine-groups/{id}', 'machine-groups/show', 'viewer', ['DB']),
  put('/machine-groups/{id}', 'machine-groups/update', 'operator', ['DB']),
  del('/machine-groups/{id}', 'machine-groups/delete', 'operator', ['DB', 'CLOCK']),
  post('/machine-groups/{id}/vms', 'machine-groups/vms/assign', 'operator', ['DB', 'CLOCK']),
  post('/machine-groups/{id}/vms/bulk', 'machine-groups/vms/assign-bulk', 'operator', ['DB', 'CLOCK']),
  get('/machine-groups/{id}/vms', 'machine-groups/vms/list', 'viewer', ['DB', 'CLOCK']),
  put('/machine-groups/{id}/vms/{vm_context_id}', 'machine-groups/vms/update', 'operator', ['DB']),
  del('/machine-groups/{id}/vms/{vm_context_id}', 'machine-groups/vms/remove', 'operator', ['DB']),
  get('/vm-groups/{group_id}/members', 'vm-groups/members', 'viewer', ['DB']),
  put('/vm-contexts/{context_id}/group', 'vm-contexts/set-group', 'operator', ['DB', 'CLOCK']),

  post('/protection-flows', 'protection-flows/create', 'operator', ['DB']),
  get('/protection-flows', 'protection-flows/list', 'viewer', ['DB']),
  get('/protection-flows/summary', 'protection-flows/summary', 'viewer', ['DB', 'CLOCK']),
  post('/protection-flows/bulk-execute', 'protection-flows/bulk-execute', 'operator', startsBackups),
  post('/protection-flows/bulk-enable', 'protection-flows/bulk-enable', 'operator', ['DB']),
  post('/protection-flows/bulk-disable', 'protection-flows/bulk-disable', 'operator', ['DB']),
  post('/protection-flows/bulk-delete', 'protection-flows/bulk-delete', 'operator', ['DB']),
  get('/protection-flows/{id}', 'protection-flows/show', 'viewer', ['DB']),
  put('/protection-flows/{id}', 'protection-flows/update', 'operator', ['DB']),
  del('/protection-flows/{id}', 'protection-flows/delete', 'operator', ['DB']),
  post('/protection-flows/{id}/execute', 'protection-flows/execute', 'operator', startsBackups),
  get('/protection-flows/{id}/executions', 'protection-flows/executions', 'viewer', ['DB']),
  get('/protection-flows/{id}/status', 'protection-flows/status', 'viewer', ['DB']),
  patch('/protection-flows/{id}/enable', 'protection-flows/enable', 'operator', ['DB']),
  patch('/protection-flows/{id}/disable', 'protection-flows/disable', 'operator', ['DB']),
  post('/protection-flows/{id}/test', 'protection-flows/test', 'operator', ['DB', 'AGENT']),
]

// ── Crons ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Device cleanup is absent on purpose: the host-agent schedules it. */
const crons = (stallSeconds: number): Cron[] => [
  // Every 30 seconds, and more often where jobs stall sooner.
  {
    pattern: `*/${Math.min(30, Math.max(1, Math.floor(stallSeconds / 2)))} * * * * *`,
    function: 'jobs/detect-stale',
    bindings: ['DB', 'AGENT', 'NODE', 'CLOCK', 'SETTINGS'],
  },
  { pattern: '*/20 * * * * *', function: 'jobs/reconcile', bindings: ['DB', 'AGENT', 'NODE', 'CLOCK'], atStart: true },
  {
    pattern: '*/20 * * * * *',
    function: 'jobs/announce-repositories',
    bindings: ['DB', 'AGENT', 'KEYS'],
    atStart: true,
  },
  { pattern: '*/5 * * * * *', function: 'jobs/lock-files', bindings: ['DB', 'AGENT', 'CLOCK'] },
  { pattern: '*/2 * * * * *', function: 'jobs/verify', bindings: ['DB', 'AGENT', 'CLOCK'] },
  {
    pattern: '* * * * * *',
    function: 'jobs/run-schedules',
    bindings: startsBackups,
  },
  { pattern: '*/2 * * * * *', function: 'jobs/copy', bindings: ['DB', 'AGENT', 'CLOCK'] },
  {
    pattern: '* * * * * *',
    function: 'jobs/index-files',
    bindings: ['DB', 'AGENT', 'CLOCK'],
    after: ['backups/complete', 'backups/index-files'],
  },
  { pattern: '*/2 * * * * *', function: 'jobs/merge', bindings: ['DB', 'AGENT', 'CLOCK'] },
  { pattern: '*/2 * * * * *', function: 'jobs/send-notifications', bindings: ['DB', 'KEYS', 'CLOCK', 'NOTIFIER'] },
  { pattern: '*/5 * * * *', function: 'jobs/watch-storage', bindings: ['DB', 'AGENT', 'CLOCK', 'KEYS'] },
  { pattern: '0 2 * * *', function: 'jobs/queue-copies', bindings: ['DB', 'CLOCK'] },
  { pattern: '41 * * * *', function: 'jobs/scrub', bindings: ['DB', 'CLOCK'] },
  { pattern: '11 5 * * *', function: 'jobs/examine', bindings: ['AGENT'] },
  { pattern: '23 4 * * 0', function: 'jobs/forget-words', bindings: ['DB'] },
  { pattern: '17 3 * * *', function: 'jobs/apply-retention', bindings: ['DB', 'AGENT', 'CLOCK'] },
]

// ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param stallSeconds of the settings */
export const routeMap = (stallSeconds: number): RouteMap => ({
  routes,
  crons: crons(stallSeconds),
  limits: { bodyMaxBytes: 1024 * 1024, bodyMaxDepth: 32, requestsMax: 512, stalledClientMs: 45_000 },
})
