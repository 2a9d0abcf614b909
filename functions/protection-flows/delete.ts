/** DELETE /protection-flows/{id}: removes a flow with its runs; jobs that run go on. */
import { deleteFlowAnswer, flowParams } from '../../contract/api/protection-flows.ts'
import { deleteFlow } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Remove a flow',
    needs: ['DB'],
    params: flowParams,
    responses: { 200: deleteFlowAnswer },
    errors: ['FLOW_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const { id, name } = await existingFlow(DB.orm, params.id)
    await deleteFlow(DB.orm, id)
    return { message: `flow ${name} removed`, deleted_flow_id: id }
  },
)
