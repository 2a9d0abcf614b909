/** Decides who calls and whether they may, from the map's role and marks. Knows nothing about what is called. */
import { type Role, roles } from '../contract/api/auth.ts'
import { HubError } from '../contract/errors.ts'
import { findApiToken, noteApiTokenUse } from '../db/queries/api-tokens.ts'
import { findUserById, type UserRow } from '../db/queries/users.ts'
import { parseApiToken } from './api-tokens.ts'
import type { Bindings } from './bindings/index.ts'
import type { Caller } from './function.ts'
import { readBearer, readDownloadToken, readMountToken } from './tokens.ts'

type Rule = {
  role: Role | 'open'
  callback?: boolean | undefined
  downloadToken?: boolean | undefined
  basic?: boolean | undefined
}
type Credentials = {
  /** Every Authorization header of the request. */
  authorization: string[]
  /** Every `token` of the query. */
  queryTokens: string[]
  /** Of a browser that has logged in. */
  session?: { token: string; isOwnPage: boolean } | undefined
  remoteAddress: string
}

/** The user as of now, whatever was true when the token was made. @throws TOKEN_EXPIRED, TOKEN_INVALID */
const bearerOf = async (
  token: string,
  { KEYS, CLOCK, DB }: Pick<Bindings, 'KEYS' | 'CLOCK' | 'DB'>,
): Promise<Caller> => {
  const revoked = () => new HubError('TOKEN_INVALID', 'The token is not valid any more', { details: 'log in again' })
  const apiToken = parseApiToken(token)
  if (apiToken) {
    const found = await findApiToken(DB.orm, apiToken.id)
    if (!found || !apiToken.fits(found.token.secretHash)) throw new HubError('TOKEN_INVALID', 'The token is not valid')
    const { token: row, user } = found
    if (!user.isActive) throw revoked()
    const now = CLOCK.now()
    if (row.expiresAt !== null && row.expiresAt <= now) throw new HubError('TOKEN_EXPIRED', 'The token has expired')
    await noteApiTokenUse(DB.orm, row.id, now)
    return { ...callerOf(user, leastRole(row.role, user.role)), expiresAt: row.expiresAt, apiTokenId: row.id }
  }
  const bearer = await readBearer(KEYS, token, CLOCK)
  if (bearer.kind === 'job') return bearer
  const user = await findUserById(DB.orm, bearer.userId)
  if (!user?.isActive || user.tokenVersion !== bearer.tokenVersion) throw revoked()
  return { ...callerOf(user, user.role), expiresAt: bearer.expiresAt, apiTokenId: null }
}
const callerOf = ({ id, username }: UserRow, role: Role) => ({ kind: 'user' as const, userId: id, username, role })
const leastRole = (one: Role, other: Role) => (roles.indexOf(one) < roles.indexOf(other) ? one : other)

export const isLoopback = (address: string) => /^(127\.|::1$|::ffff:127\.)/.test(address)

/**
 * Whether a browser's request comes from a page of the hub itself: other ports of the same host are the same site to a cookie, and must change nothing.
 * Browsers name the page's origin with everything that changes something.
 */
export const isFromOwnPage = (method: string, headers: Headers): boolean => {
  if (method === 'GET' || method === 'HEAD') return true
  if (headers.get('sec-fetch-site') === 'same-origin') return true
  const origin = headers.get('origin')
  return origin !== null && URL.canParse(origin) && new URL(origin).host === headers.get('host')
}

/** The password of HTTP Basic; whose name is given says nothing. */
const basicPassword = (header: string): string | undefined => {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(header)?.[1]
  return encoded && /^[^:]*:(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('utf8'))?.[1]
}
/** A mount's token, or any that is a bearer's. */
const passwordOf = async (password: string, bindings: Pick<Bindings, 'KEYS' | 'CLOCK' | 'DB'>): Promise<Caller> => {
  const { KEYS, CLOCK } = bindings
  if (parseApiToken(password)) return bearerOf(password, bindings)
  return readMountToken(KEYS, password, CLOCK).catch((error: unknown) => {
    if (error instanceof HubError && error.code === 'TOKEN_INVALID') return bearerOf(password, bindings)
    throw error
  })
}

/** What makes a file manager ask for a password. */
const challenge = { 'WWW-Authenticate': 'Basic realm="Sendense mount", charset="UTF-8"' }

/** Who calls. @throws UNAUTHENTICATED, TOKEN_INVALID, TOKEN_EXPIRED, FORBIDDEN */
export const authenticate = async (
  rule: Rule,
  credentials: Credentials,
  bindings: Pick<Bindings, 'KEYS' | 'CLOCK' | 'SETTINGS' | 'DB'>,
): Promise<Caller> => {
  if (!rule.basic) return whoCalls(rule, credentials, bindings)
  const [header, another] = credentials.authorization
  const password = header !== undefined && another === undefined ? basicPassword(header) : undefined
  const caller = password === undefined ? whoCalls(rule, credentials, bindings) : passwordOf(password, bindings)
  return caller.catch((error: unknown) => {
    if (!(error instanceof HubError) || error.status !== 401) throw error
    const { code, message, details = '' } = error
    throw new HubError(code, message, { details, headers: challenge, cause: error })
  })
}

const whoCalls = async (
  rule: Rule,
  { authorization, queryTokens, session, remoteAddress }: Credentials,
  bindings: Pick<Bindings, 'KEYS' | 'CLOCK' | 'SETTINGS' | 'DB'>,
): Promise<Caller> => {
  const { KEYS, CLOCK, SETTINGS } = bindings
  if (rule.role === 'open') return { kind: 'open' }
  const given = [...authorization, ...(rule.downloadToken ? queryTokens : [])]
  if (given.length > 1) throw new HubError('UNAUTHENTICATED', 'Send one token, not several')

  if (given.length === 0) {
    if (session && !session.isOwnPage)
      throw new HubError('FORBIDDEN', 'This request does not come from a page of the hub', {
        details:
          'a proxy before the hub must leave the Host header as it is; scripts send Authorization: Bearer <token>',
      })
    if (session) return bearerOf(session.token, bindings)
    if (rule.callback && SETTINGS.tokenlessCallbacks && isLoopback(remoteAddress)) return { kind: 'tokenless' }
    throw new HubError('UNAUTHENTICATED', 'Log in first', { details: 'send Authorization: Bearer <token>' })
  }
  if (authorization.length === 0) return readDownloadToken(KEYS, given[0]!, CLOCK)

  const token = /^Bearer +([^\s]+) *$/i.exec(given[0]!)?.[1]
  if (!token) throw new HubError('UNAUTHENTICATED', 'Log in first', { details: 'send Authorization: Bearer <token>' })
  return bearerOf(token, bindings)
}

/** @throws TOKEN_SCOPE, FORBIDDEN */
export const authorize = (rule: Rule, caller: Caller) => {
  if (caller.kind === 'job' && !rule.callback)
    throw new HubError('TOKEN_SCOPE', 'A job token is good for the callbacks of its job only')
  if (caller.kind === 'user' && rule.role !== 'open' && roles.indexOf(caller.role) < roles.indexOf(rule.role))
    throw new HubError('FORBIDDEN', `This needs the role ${rule.role}`, { details: `you are ${caller.role}` })
}
