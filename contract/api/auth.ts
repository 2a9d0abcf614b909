import { z } from 'zod'
import { str, time } from './common.ts'

export const roles = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

export const loginBody = z.object({
  username: str(1, 64),
  password: str(1, 1024),
  /** For browsers: the answer sets the session's cookie, too. */
  cookie: z.boolean().default(false),
})
export const user = z.object({
  id: z.string(),
  username: z.string(),
  role: z.enum(roles),
  display_name: z.string().nullable(),
})
export const loginAnswer = z.object({ token: z.string(), token_type: z.literal('Bearer'), expires_at: time, user })
/** `expires_at` is null for an API token without an end. */
export const meAnswer = user.extend({ user, expires_at: time.nullable() })
/** Long enough that guessing is hopeless; composition rules only make people write passwords down. */
export const newPassword = str(12, 1024)
export const changePasswordBody = z.object({ current_password: str(1, 1024), new_password: newPassword })
export const logoutAnswer = z.object({ message: z.string() })
