/** LOGINS: password checks, and the brake on guessing them. Failures are counted in the database, for all hubs together. */
import { RateLimiterMySQL, RateLimiterRes } from 'rate-limiter-flexible'
import { HubError } from '../../contract/errors.ts'
import type { Database } from '../../db/database.ts'
import { hashPassword, newPassword, verifyPassword } from '../passwords.ts'

export type Logins = {
  /** @throws RATE_LIMITED after 10 failures in 15 minutes */
  refuseWhenLimited: (who: string) => Promise<void>
  noteFailure: (who: string) => Promise<void>
  forgetFailures: (who: string) => Promise<void>
  /** Takes the same time for a user that does not exist. */
  passwordFits: (password: string, stored: string | undefined) => Promise<boolean>
  hashPassword: (password: string) => Promise<string>
  /** 144 random bits, as text that can be typed. */
  newPassword: () => string
}

/** Contract section 2. */
const failuresMax = 10
const windowSeconds = 15 * 60

export const openLogins = (db: Database): Logins => {
  const limiter = new RateLimiterMySQL({
    // The library speaks callbacks, which the promise pool swallows.
    storeClient: db.pool.pool,
    storeType: 'pool',
    dbName: db.name,
    tableName: 'login_failures',
    tableCreated: true,
    keyPrefix: 'login',
    points: failuresMax,
    duration: windowSeconds,
    clearExpiredByTimeout: false,
  })
  // Addresses and names are free text; the key column is not.
  const key = (who: string) => Buffer.from(who).toString('base64url').slice(0, 200)
  const limited = (milliseconds: number) =>
    new HubError('RATE_LIMITED', 'Too many failed logins', {
      details: 'try again later',
      headers: { 'Retry-After': String(Math.max(1, Math.ceil(milliseconds / 1000))) },
    })
  return {
    refuseWhenLimited: async (who) => {
      const state = await limiter.get(key(who))
      if (state && state.consumedPoints >= failuresMax) throw limited(state.msBeforeNext)
    },
    noteFailure: async (who) => {
      await limiter.consume(key(who)).catch((state: unknown) => {
        if (!(state instanceof RateLimiterRes)) throw state
      })
    },
    forgetFailures: async (who) => {
      await limiter.delete(key(who))
    },
    passwordFits: verifyPassword,
    hashPassword,
    newPassword,
  }
}
