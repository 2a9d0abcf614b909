/** Users and their API tokens; an extension of the contract. */
import { z } from 'zod'
import { newPassword, roles, user } from './auth.ts'
import { listCounts, name, str, time } from './common.ts'

export const userParams = z.object({ id: z.uuid() })
export const managedUser = user.extend({
  is_active: z.boolean(),
  last_login_at: time.nullable(),
  created_at: time,
  updated_at: time,
})
export const usersAnswer = z.object({ users: z.array(managedUser), ...listCounts })

export const createUserBody = z.object({
  /** Printable ASCII, so that what is shown is what was meant. */
  username: str(1, 64).regex(/^[A-Za-z0-9][A-Za-z0-9._@-]*$/, 'must be letters, digits and ._@-'),
  role: z.enum(roles),
  display_name: str(1).nullish(),
  /** Without one the hub makes one and shows it once. */
  password: newPassword.optional(),
})
export const userChangedAnswer = z.object({ user: managedUser })
/** `password`: the one that the hub made; null when the caller chose it. */
export const passwordShownAnswer = z.object({ user: managedUser, password: z.string().nullable() })
export const updateUserBody = z.object({
  role: z.enum(roles).optional(),
  display_name: str(1).nullish(),
  is_active: z.boolean().optional(),
})
export const resetPasswordBody = z.object({ password: newPassword.optional() })

export const apiTokenParams = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) })
export const apiToken = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(roles),
  username: z.string(),
  created_at: time,
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
})
export const apiTokensAnswer = z.object({ api_tokens: z.array(apiToken), ...listCounts })
export const createApiTokenBody = z.object({
  name,
  /** The caller's own role unless said; never more. */
  role: z.enum(roles).optional(),
  /** Without it the token is good until it is revoked. */
  expires_in_days: z.int().min(1).max(3650).optional(),
})
/** The only answer that ever shows the token. */
export const apiTokenCreatedAnswer = z.object({ api_token: apiToken, token: z.string() })
export const messageAnswer = z.object({ message: z.string() })
