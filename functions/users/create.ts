/** POST /users: a new user, with the password that is sent or one that the hub makes and shows once. */
import { randomUUID } from 'node:crypto'
import { createUserBody, passwordShownAnswer } from '../../contract/api/users.ts'
import { insertUser, toManagedUser } from '../../db/queries/users.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { existingUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: 'Create a user',
    needs: ['DB', 'LOGINS'],
    body: createUserBody,
    responses: { 201: passwordShownAnswer },
    errors: ['NAME_TAKEN'],
  },
  async ({ body, env: { DB, LOGINS } }) => {
    const id = randomUUID()
    const password = body.password ?? LOGINS.newPassword()
    const passwordHash = await LOGINS.hashPassword(password)
    await withFreeName(body.username, () =>
      insertUser(DB.orm, {
        id,
        username: body.username,
        passwordHash,
        role: body.role,
        displayName: body.display_name ?? null,
      }),
    )
    const user = toManagedUser(await existingUser(DB.orm, id))
    return answer(201, { user, password: body.password === undefined ? password : null })
  },
)
