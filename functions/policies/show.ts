/** GET /policies/{id}: one policy with its rules. */
import { policy, policyParams } from '../../contract/api/policies.ts'
import { defineFunction } from '../../runtime/function.ts'
import { shownPolicy } from '../../workflows/policies.ts'

export default defineFunction(
  {
    summary: 'One policy',
    needs: ['DB'],
    params: policyParams,
    responses: { 200: policy },
    errors: ['POLICY_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => shownPolicy(DB.orm, params.id),
)
