/** GET /auth/me: the user of the token. */
import { meAnswer } from '../../contract/api/auth.ts'
import { HubError } from '../../contract/errors.ts'
import { findUserById, toUser } from '../../db/queries/users.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Who am I', needs: ['DB'], responses: { 200: meAnswer } },
  async ({ env: { DB }, caller }) => {
    const user = caller.kind === 'user' ? await findUserById(DB.orm, caller.userId) : undefined
    if (caller.kind !== 'user' || !user) throw new HubError('TOKEN_INVALID', 'The user of this token no longer exists')
    return { ...toUser(user), user: toUser(user), expires_at: caller.expiresAt.toISOString() }
  },
)
