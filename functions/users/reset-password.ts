/** POST /users/{id}/reset-password: another password, sent or made here and shown once; the user's tokens end. */
import { passwordShownAnswer, resetPasswordBody, userParams } from '../../contract/api/users.ts'
import { setPassword, toManagedUser } from '../../db/queries/users.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: "Reset a user's password",
    needs: ['DB', 'LOGINS'],
    params: userParams,
    body: resetPasswordBody,
    responses: { 200: passwordShownAnswer },
    errors: ['USER_NOT_FOUND'],
  },
  async ({ params, body, env: { DB, LOGINS } }) => {
    await existingUser(DB.orm, params.id)
    const password = body.password ?? LOGINS.newPassword()
    await setPassword(DB.orm, params.id, await LOGINS.hashPassword(password))
    const user = toManagedUser(await existingUser(DB.orm, params.id))
    return { user, password: body.password === undefined ? password : null }
  },
)
