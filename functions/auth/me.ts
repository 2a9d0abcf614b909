/** GET /auth/me: the user of the token. */
import { meAnswer } from '../../contract/api/auth.ts'
import { toUser } from '../../db/queries/users.ts'
import { defineFunction } from '../../runtime/function.ts'
import { callingUser, existingUser } from '../../workflows/users.ts'

export default defineFunction(
  { summary: 'Who am I', needs: ['DB'], responses: { 200: meAnswer } },
  async ({ env: { DB }, caller }) => {
    const { userId, role, expiresAt } = callingUser(caller)
    // An API token may do less than its user.
    const user = { ...toUser(await existingUser(DB.orm, userId)), role }
    return { ...user, user, expires_at: expiresAt?.toISOString() ?? null }
  },
)
