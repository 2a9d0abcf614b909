/** POST /auth/change-password: the caller's own; all earlier tokens end, a new one comes with the answer. */
import { changePasswordBody, loginAnswer } from '../../contract/api/auth.ts'
import { HubError } from '../../contract/errors.ts'
import { readSessionCookie, sessionHeaders } from '../../contract/session-cookie.ts'
import { setPassword, toUser } from '../../db/queries/users.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { existingUser, loggedInUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: 'Change my password',
    needs: ['DB', 'KEYS', 'CLOCK', 'LOGINS'],
    body: changePasswordBody,
    responses: { 200: loginAnswer },
    errors: ['INVALID_CREDENTIALS', 'RATE_LIMITED', 'TOKEN_SCOPE'],
  },
  async ({ body, env: { DB, KEYS, CLOCK, LOGINS }, caller, request }) => {
    const { userId, username } = loggedInUser(caller)
    // The same brake as at the login: a stolen token must not guess the password.
    const who = `${request.remoteAddress} ${username}`
    await LOGINS.refuseWhenLimited(who)
    const { passwordHash } = await existingUser(DB.orm, userId)
    if (!(await LOGINS.passwordFits(body.current_password, passwordHash))) {
      await LOGINS.noteFailure(who)
      throw new HubError('INVALID_CREDENTIALS', 'The current password is wrong')
    }
    await LOGINS.forgetFailures(who)
    await setPassword(DB.orm, userId, await LOGINS.hashPassword(body.new_password))
    const user = await existingUser(DB.orm, userId)
    const { token, expiresAt } = await KEYS.userToken(user, CLOCK.now())
    const isBrowser = !request.headers.has('authorization') && readSessionCookie(request.headers.get('cookie'))
    return answer(
      200,
      { token, token_type: 'Bearer', expires_at: expiresAt.toISOString(), user: toUser(user) },
      isBrowser ? sessionHeaders(request, token, expiresAt, CLOCK.now()) : {},
    )
  },
)
