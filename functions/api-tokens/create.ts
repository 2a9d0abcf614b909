/** POST /api-tokens: a long-lived token for scripts. This answer is the only one that shows it. */
import { roles } from '../../contract/api/auth.ts'
import { apiTokenCreatedAnswer, createApiTokenBody } from '../../contract/api/users.ts'
import { HubError } from '../../contract/errors.ts'
import { countApiTokens, findApiToken, insertApiToken, toApiToken } from '../../db/queries/api-tokens.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { loggedInUser } from '../../workflows/users.ts'

/** More than anybody keeps an eye on. */
const tokensMax = 100
const dayMs = 24 * 3600 * 1000

export default defineFunction(
  {
    summary: 'Create an API token',
    needs: ['DB', 'KEYS', 'CLOCK'],
    body: createApiTokenBody,
    responses: { 201: apiTokenCreatedAnswer },
    errors: ['FORBIDDEN', 'TOKEN_SCOPE', 'LIMIT_REACHED'],
  },
  async ({ body, env: { DB, KEYS, CLOCK }, caller }) => {
    const user = loggedInUser(caller)
    const role = body.role ?? user.role
    if (roles.indexOf(role) > roles.indexOf(user.role))
      throw new HubError('FORBIDDEN', 'A token can not do more than its user', { details: `you are ${user.role}` })
    if ((await countApiTokens(DB.orm, user.userId)) >= tokensMax)
      throw new HubError('LIMIT_REACHED', `A user has at most ${tokensMax} API tokens`, {
        details: 'revoke one that is no longer needed',
      })
    const { id, secretHash, token } = KEYS.newApiToken()
    const now = CLOCK.now()
    const expiresAt = body.expires_in_days === undefined ? null : new Date(now.getTime() + body.expires_in_days * dayMs)
    await insertApiToken(DB.orm, {
      id,
      userId: user.userId,
      name: body.name,
      role,
      secretHash,
      expiresAt,
      createdAt: now,
    })
    return answer(201, { api_token: toApiToken((await findApiToken(DB.orm, id))!), token })
  },
)
