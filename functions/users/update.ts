/** PATCH /users/{id}: changes role, name or state; another role or state ends the user's tokens. One admin who can log in always stays. */
import { updateUserBody, userChangedAnswer, userParams } from '../../contract/api/users.ts'
import { HubError } from '../../contract/errors.ts'
import { lockActiveAdmins, toManagedUser, updateUser } from '../../db/queries/users.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: 'Change a user',
    needs: ['DB'],
    params: userParams,
    body: updateUserBody,
    responses: { 200: userChangedAnswer },
    errors: ['USER_NOT_FOUND', 'LAST_ADMIN'],
  },
  async ({ params, body, env: { DB } }) =>
    DB.transaction(async (tx) => {
      const admins = await lockActiveAdmins(tx)
      const before = await existingUser(tx, params.id)
      const after = {
        role: body.role ?? before.role,
        isActive: body.is_active ?? before.isActive,
        displayName: body.display_name === undefined ? before.displayName : body.display_name,
      }
      const staysAdmin = after.role === 'admin' && after.isActive
      if (!staysAdmin && admins.length === 1 && admins[0] === params.id)
        throw new HubError('LAST_ADMIN', 'This is the last admin who can log in', {
          details: 'make another user an admin first',
        })
      const endsTokens = after.role !== before.role || after.isActive !== before.isActive
      await updateUser(tx, params.id, after, endsTokens)
      return { user: toManagedUser(await existingUser(tx, params.id)) }
    }),
)
