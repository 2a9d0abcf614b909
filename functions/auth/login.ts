/** POST /auth/login: checks name and password, issues a user token. */
import { loginAnswer, loginBody } from '../../contract/api/auth.ts'
import { HubError } from '../../contract/errors.ts'
import { sessionHeaders } from '../../contract/session-cookie.ts'
import { findUser, noteLogin, toUser } from '../../db/queries/users.ts'
import { answer, defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Log in',
    needs: ['DB', 'KEYS', 'CLOCK', 'LOGINS'],
    body: loginBody,
    responses: { 200: loginAnswer },
    errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED'],
  },
  async ({ body, env: { DB, KEYS, CLOCK, LOGINS }, request }) => {
    const who = `${request.remoteAddress} ${body.username}`
    await LOGINS.refuseWhenLimited(who)
    const user = await findUser(DB.orm, body.username)
    if (!(await LOGINS.passwordFits(body.password, user?.passwordHash)) || !user?.isActive) {
      await LOGINS.noteFailure(who)
      throw new HubError('INVALID_CREDENTIALS', 'Name or password is wrong')
    }
    await LOGINS.forgetFailures(who)
    await noteLogin(DB.orm, user.id, CLOCK.now())
    const { token, expiresAt } = await KEYS.userToken(user, CLOCK.now())
    return answer(
      200,
      { token, token_type: 'Bearer', expires_at: expiresAt.toISOString(), user: toUser(user) },
      body.cookie ? sessionHeaders(request, token, expiresAt, CLOCK.now()) : {},
    )
  },
)
