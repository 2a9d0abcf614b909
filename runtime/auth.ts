/** Decides who calls and whether they may, from the map's role and marks. Knows nothing about what is called. */
import { type Role, roles } from '../contract/api/auth.ts'
import { HubError } from '../contract/errors.ts'
import type { Bindings } from './bindings/index.ts'
import type { Caller } from './function.ts'
import { readBearer, readDownloadToken } from './tokens.ts'

type Rule = { role: Role | 'open'; callback?: boolean | undefined; downloadToken?: boolean | undefined }
type Credentials = {
  /** Every Authorization header of the request. */
  authorization: string[]
  /** Every `token` of the query. */
  queryTokens: string[]
  remoteAddress: string
}

export const isLoopback = (address: string) => /^(127\.|::1$|::ffff:127\.)/.test(address)

/** @throws UNAUTHENTICATED, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_SCOPE, FORBIDDEN */
export const authenticate = async (
  rule: Rule,
  { authorization, queryTokens, remoteAddress }: Credentials,
  { KEYS, CLOCK, SETTINGS }: Pick<Bindings, 'KEYS' | 'CLOCK' | 'SETTINGS'>,
): Promise<Caller> => {
  if (rule.role === 'open') return { kind: 'open' }
  const given = [...authorization, ...(rule.downloadToken ? queryTokens : [])]
  if (given.length > 1) throw new HubError('UNAUTHENTICATED', 'Send one token, not several')

  if (given.length === 0) {
    if (rule.callback && SETTINGS.tokenlessCallbacks && isLoopback(remoteAddress)) return { kind: 'tokenless' }
    throw new HubError('UNAUTHENTICATED', 'Log in first', { details: 'send Authorization: Bearer <token>' })
  }
  if (authorization.length === 0) return readDownloadToken(KEYS, given[0]!, CLOCK)

  const token = /^Bearer +([^\s]+) *$/i.exec(given[0]!)?.[1]
  if (!token) throw new HubError('UNAUTHENTICATED', 'Log in first', { details: 'send Authorization: Bearer <token>' })
  const caller = await readBearer(KEYS, token, CLOCK)
  if (caller.kind === 'job' && !rule.callback)
    throw new HubError('TOKEN_SCOPE', 'A job token is good for the callbacks of its job only')
  if (caller.kind === 'user' && roles.indexOf(caller.role) < roles.indexOf(rule.role))
    throw new HubError('FORBIDDEN', `This needs the role ${rule.role}`, { details: `you are ${caller.role}` })
  return caller
}
