/** Makes and reads the three kinds of token of contract section 1.6, and a mount's. All are HS256, of this hub alone, for one audience. */
import { createHash, randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Role } from '../contract/api/auth.ts'
import { HubError } from '../contract/errors.ts'
import type { Clock } from './bindings/index.ts'
import type { Caller, DownloadGrant } from './function.ts'

const userTokenSeconds = 24 * 3600
/** A job's token outlives the longest job; while the job lives is checked where it is used. */
const jobTokenSeconds = 7 * 24 * 3600
const downloadTokenSeconds = 300
/** A working day: the mount ends long before, unless it is used. */
const mountTokenSeconds = 12 * 3600

/** What a user's token says of the user; of an earlier version it is refused. */
export type TokenUser = { id: string; username: string; role: Role; tokenVersion: number }
/** What signs: a hub's id and its key. */
type Signer = { hubId: string; signingKey: Uint8Array }
type Audience = 'hub' | 'callback' | 'download' | 'mount'
const sign = (keys: Signer, audience: Audience, claims: JWTPayload, now: Date, seconds: number) => {
  const issued = Math.floor(now.getTime() / 1000)
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer(keys.hubId)
    .setAudience(audience)
    .setIssuedAt(issued)
    .setExpirationTime(issued + seconds)
    .setJti(randomUUID())
    .sign(keys.signingKey)
}

export const signUserToken = async (
  keys: Signer,
  user: TokenUser,
  now: Date,
): Promise<{ token: string; expiresAt: Date }> => ({
  token: await sign(
    keys,
    'hub',
    { sub: user.id, username: user.username, role: user.role, ver: user.tokenVersion },
    now,
    userTokenSeconds,
  ),
  expiresAt: new Date((Math.floor(now.getTime() / 1000) + userTokenSeconds) * 1000),
})

export const signJobToken = (keys: Signer, job: { jobType: string; jobId: string; vmName: string }, now: Date) =>
  sign(keys, 'callback', { job_type: job.jobType, job_id: job.jobId, vm_name: job.vmName }, now, jobTokenSeconds)

export const signDownloadToken = async (
  keys: Signer,
  grant: DownloadGrant,
  now: Date,
): Promise<{ token: string; expiresAt: Date }> => ({
  token: await sign(keys, 'download', { grant }, now, downloadTokenSeconds),
  expiresAt: new Date((Math.floor(now.getTime() / 1000) + downloadTokenSeconds) * 1000),
})

export const signMountToken = async (
  keys: Signer,
  mountId: string,
  now: Date,
): Promise<{ token: string; expiresAt: Date }> => ({
  token: await sign(keys, 'mount', { sub: mountId }, now, mountTokenSeconds),
  expiresAt: new Date((Math.floor(now.getTime() / 1000) + mountTokenSeconds) * 1000),
})

/**
 * What tokens say whose signature was found good, by digest: a busy hub sees the same few hundred again and again, and checking one takes longer than most
 * answers. A key that is rotated comes with a new process; whether a user still may is looked up for every request all the same.
 */
const verified = new WeakMap<Uint8Array, LRUCache<string, JWTPayload>>()
const verifiedMax = 2_000
const verifiedBy = ({ signingKey }: Signer): LRUCache<string, JWTPayload> => {
  const known = verified.get(signingKey) ?? new LRUCache({ max: verifiedMax })
  verified.set(signingKey, known)
  return known
}

const verify = async (keys: Signer, audience: Audience | Audience[], token: string, clock: Clock) => {
  const known = verifiedBy(keys)
  const name = createHash('sha256').update(`${audience} ${token}`).digest('base64')
  const before = known.get(name)
  if (before?.exp !== undefined && before.exp > clock.now().getTime() / 1000) return before as Record<string, unknown>
  try {
    const { payload } = await jwtVerify(token, keys.signingKey, {
      algorithms: ['HS256'],
      issuer: keys.hubId,
      audience,
      currentDate: clock.now(),
      requiredClaims: ['exp', 'iat'],
    })
    known.set(name, payload)
    return payload as Record<string, unknown>
  } catch (cause) {
    if (cause instanceof errors.JWTExpired) throw new HubError('TOKEN_EXPIRED', 'The token has expired', { cause })
    throw new HubError('TOKEN_INVALID', 'The token is not valid', { cause })
  }
}

/** What a bearer token says; whether its user still may is for the caller to find out. */
export type Bearer =
  | Extract<Caller, { kind: 'job' }>
  | { kind: 'user'; userId: string; tokenVersion: number; expiresAt: Date }

/** @throws TOKEN_EXPIRED, TOKEN_INVALID */
export const readBearer = async (keys: Signer, token: string, clock: Clock): Promise<Bearer> => {
  const claims = await verify(keys, ['hub', 'callback'], token, clock)
  if (claims.aud === 'callback')
    return {
      kind: 'job',
      jobType: String(claims.job_type),
      jobId: String(claims.job_id),
      vmName: String(claims.vm_name),
    }
  return {
    kind: 'user',
    userId: String(claims.sub),
    tokenVersion: Number(claims.ver),
    expiresAt: new Date(Number(claims.exp) * 1000),
  }
}

/** @throws TOKEN_EXPIRED, TOKEN_INVALID */
export const readDownloadToken = async (keys: Signer, token: string, clock: Clock): Promise<Caller> => {
  const claims = await verify(keys, 'download', token, clock)
  return { kind: 'download', grant: claims.grant as DownloadGrant }
}

/** @throws TOKEN_EXPIRED, TOKEN_INVALID */
export const readMountToken = async (keys: Signer, token: string, clock: Clock): Promise<Caller> => {
  const claims = await verify(keys, 'mount', token, clock)
  return { kind: 'mount', mountId: String(claims.sub) }
}
