/** POST /protection-flows/{id}/test: looks whether a flow could run; runs nothing. */
import { flowParams, testFlowAnswer } from '../../contract/api/protection-flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { flowProblems } from '../../workflows/flow-problems.ts'
import { existingFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Check a flow',
    needs: ['DB', 'AGENT'],
    params: flowParams,
    responses: { 200: testFlowAnswer },
    errors: ['FLOW_NOT_FOUND'],
  },
  async ({ params, env }) => {
    const errors = await flowProblems(env, await existingFlow(env.DB.orm, params.id))
    return { valid: errors.length === 0, errors }
  },
)
