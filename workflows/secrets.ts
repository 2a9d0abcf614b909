/** Secrets in the database: what for, so that a value can't be moved from one place to another. */
import type { Keys } from '../runtime/bindings/keys.ts'

type Place = 'credential password' | 'notification secret' | 'repository password'

export const sealSecret = (keys: Keys, place: Place, plain: string): string =>
  plain === '' ? '' : keys.encrypt(plain, place)
export const openSecret = (keys: Keys, place: Place, stored: string): string =>
  stored === '' ? '' : keys.decrypt(stored, place)
