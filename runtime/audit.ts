/** The audit log's writer: every change, every download and every refused try, with who, what and how it ended. */
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { Database } from '../db/database.ts'
import { insertAudit } from '../db/queries/audit.ts'
import type { Clock } from './bindings/index.ts'
import type { Caller } from './function.ts'
import type { LoadedRoute } from './load.ts'
import { log } from './log.ts'

export type AuditedCall = {
  route: Pick<LoadedRoute, 'function' | 'downloadToken' | 'audited'>
  /** Undefined when the call was refused before it was known. */
  caller: Caller | undefined
  /** What was sent, once it has been validated. */
  input: { params: unknown; query: unknown; body: unknown } | undefined
  method: string
  path: string
  status: number
  code: string | null
  remoteAddress: string
  requestId: string
}
export type Audit = (call: AuditedCall) => Promise<void>

const refusals = new Set([401, 403, 429])
/** A flood of calls without a token must not fill the database: so many a second and address are kept, all are in the log file. */
const anonymousPerSecond = 10
const detailsMax = 4096
const secretName = /password|secret|token|key/i

const isAudited = ({ route, method, status }: AuditedCall) => {
  if (refusals.has(status)) return true
  if (route.audited === 'refusals') return false
  if (method === 'GET') return route.downloadToken === true || route.audited === 'downloads'
  return method !== 'HEAD'
}

const withoutSecrets = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutSecrets)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, secretName.test(name) ? '(left out)' : withoutSecrets(part)]),
  )
}

const actorOf = (caller: Caller | undefined) => {
  switch (caller?.kind) {
    case 'user':
      return caller.apiTokenId === null
        ? ({ actorKind: 'user', actor: caller.username, actorId: caller.userId } as const)
        : ({ actorKind: 'api_token', actor: caller.username, actorId: caller.apiTokenId } as const)
    case 'mount':
      return { actorKind: 'download', actor: caller.mountId, actorId: null } as const
    case 'job':
      return { actorKind: 'job', actor: caller.jobId, actorId: null } as const
    case 'download':
      return { actorKind: 'download', actor: caller.grant.mountId, actorId: null } as const
    default:
      return { actorKind: 'anonymous', actor: null, actorId: null } as const
  }
}

const detailsOf = ({ input }: AuditedCall): Record<string, unknown> | null => {
  if (!input) return null
  const details = withoutSecrets({ ...(input.params as object), ...(input.query as object), ...(input.body as object) })
  if (JSON.stringify(details).length > detailsMax) return { left_out: 'too long' }
  return Object.keys(details as object).length === 0 ? null : (details as Record<string, unknown>)
}

/** A row that can not be written is said in the log: what was done is done, and its answer must not lie about that. */
export const openAudit = (db: Database, clock: Clock): Audit => {
  const anonymous = new RateLimiterMemory({ points: anonymousPerSecond, duration: 1 })
  return async (call) => {
    if (!isAudited(call)) return
    const actor = actorOf(call.caller)
    if (actor.actorKind === 'anonymous' && call.status !== 200) {
      const isTooMany = await anonymous.consume(call.remoteAddress).then(
        () => false,
        () => true,
      )
      if (isTooMany) return
    }
    try {
      await insertAudit(db.orm, {
        at: clock.now(),
        ...actor,
        action: call.route.function,
        method: call.method,
        path: call.path.slice(0, 512),
        status: call.status,
        code: call.code,
        details: detailsOf(call),
        remoteAddress: call.remoteAddress.slice(0, 64),
        requestId: call.requestId,
      })
    } catch (error) {
      log.error({ request_id: call.requestId, error: String(error) }, 'the audit log could not be written')
    }
  }
}
