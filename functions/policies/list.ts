/** GET /policies: all policies with their rules, as a bare array. */
import { page } from '../../contract/api/common.ts'
import { listPoliciesQuery, policiesAnswer } from '../../contract/api/policies.ts'
import { showPolicies } from '../../db/queries/policies.ts'
import { answer, defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'List policies', needs: ['DB'], query: listPoliciesQuery, responses: { 200: policiesAnswer } },
  async ({ query, env: { DB } }) => {
    const { shown, total } = page(await showPolicies(DB.orm), query)
    return answer(200, shown, { 'X-Total-Count': String(total) })
  },
)
