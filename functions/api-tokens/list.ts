/** GET /api-tokens: the caller's own; with `all` those of every user, for admins. */
import { z } from 'zod'
import { page, pagingQuery, queryBool } from '../../contract/api/common.ts'
import { apiTokensAnswer } from '../../contract/api/users.ts'
import { HubError } from '../../contract/errors.ts'
import { listApiTokens, toApiToken } from '../../db/queries/api-tokens.ts'
import { defineFunction } from '../../runtime/function.ts'
import { callingUser } from '../../workflows/users.ts'

export default defineFunction(
  {
    summary: 'List API tokens',
    needs: ['DB'],
    query: z.object({ ...pagingQuery(), all: queryBool.default(false) }),
    responses: { 200: apiTokensAnswer },
  },
  async ({ query, env: { DB }, caller }) => {
    const { userId, role } = callingUser(caller)
    if (query.all && role !== 'admin') throw new HubError('FORBIDDEN', "Only an admin sees other users' tokens")
    const rows = await listApiTokens(DB.orm, query.all ? null : userId)
    const { shown, ...counted } = page(rows.map(toApiToken), query)
    return { api_tokens: shown, ...counted }
  },
)
