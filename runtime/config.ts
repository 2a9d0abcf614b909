/** The form of wrangler-style.config.ts: the one map of routes, bindings and crons. */
import type { Role } from '../contract/api/auth.ts'
import type { BindingName } from './bindings/index.ts'

/** The last two are for WebDAV. */
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'PROPFIND'

export type Alias = {
  method?: Method
  path: string
  /** Outside the base /api/v1. */
  root?: boolean
  /** Least role on this path when it is not the route's own. */
  role?: Role | 'open'
  /** Answers carry Deprecation and Link to the canonical path. */
  legacy?: boolean
  /** The path's parameters stand for query fields of the canonical route. */
  paramsAsQuery?: boolean
}

export type Route = {
  method: Method
  /** Below /api/v1 unless `root`; parameters as `{name}`. */
  path: string
  /** File under functions/ without its suffix. */
  function: string
  /** Least role that may call it; `open` needs no token. */
  role: Role | 'open'
  bindings: readonly BindingName[]
  root?: boolean
  /** Marked ⇄ in the contract: a job's token is accepted too. */
  callback?: boolean
  /** A download token in the query is accepted too. */
  downloadToken?: boolean
  /** Tokens are taken as the password of HTTP Basic, too, a mount's own among them: file managers know nothing else. */
  basic?: boolean
  aliases?: readonly Alias[]
  /** Whether only its refusals come into the audit log, or its GET, too, since it is a download. Without it: all changes, downloads that take a token, and every refused try. */
  audited?: 'refusals' | 'downloads'
}

export type Cron = {
  pattern: string
  function: string
  bindings: readonly BindingName[]
  atStart?: boolean
  /** Functions that may have made work for it: once one has answered, it runs without waiting for its next time. */
  after?: readonly string[]
}
export type Limits = {
  /** Bytes of a request body unless the function says more. */
  bodyMaxBytes: number
  /** Levels of nesting in a request body. */
  bodyMaxDepth: number
  /** Requests that are worked on at once; more are told to come again. Answers that only flow do not count. */
  requestsMax: number
  /** A client that has taken nothing of a download for this long is cut off; until then it keeps the mount. */
  stalledClientMs: number
}
export type RouteMap = { routes: readonly Route[]; crons: readonly Cron[]; limits: Limits }

export const basePath = '/api/v1'
export const fullPath = ({ path, root }: { path: string; root?: boolean }) => (root ? path : `${basePath}${path}`)
