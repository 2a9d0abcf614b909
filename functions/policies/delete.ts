/** DELETE /policies/{id}: removes policy and rules; backups and flows lose the link, copies stay. */
import { deletePolicyAnswer, policyParams } from '../../contract/api/policies.ts'
import { deletePolicy } from '../../db/queries/policies.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingPolicy } from '../../workflows/policies.ts'

export default defineFunction(
  {
    summary: 'Remove a policy',
    needs: ['DB'],
    params: policyParams,
    responses: { 200: deletePolicyAnswer },
    errors: ['POLICY_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const { id, name } = await existingPolicy(DB.orm, params.id)
    await deletePolicy(DB.orm, id)
    return { message: `policy ${name} removed`, id }
  },
)
