/** DELETE /api-tokens/{id}: revokes a token at once; one's own, or as admin any. */
import { apiTokenParams, messageAnswer } from '../../contract/api/users.ts'
import { HubError } from '../../contract/errors.ts'
import { deleteApiToken, findApiToken } from '../../db/queries/api-tokens.ts'
import { defineFunction } from '../../runtime/function.ts'
import { callingUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: 'Revoke an API token',
    needs: ['DB'],
    params: apiTokenParams,
    responses: { 200: messageAnswer },
    errors: ['API_TOKEN_NOT_FOUND'],
  },
  async ({ params, env: { DB }, caller }) => {
    const { userId, role } = callingUser(caller)
    const found = await findApiToken(DB.orm, params.id)
    // Others' tokens are not there for those who may not see them.
    if (!found || (found.token.userId !== userId && role !== 'admin'))
      throw new HubError('API_TOKEN_NOT_FOUND', 'There is no such API token')
    await deleteApiToken(DB.orm, params.id)
    return { message: `API token ${found.token.name} revoked` }
  },
)
