/** GET /protection-flows/{id}/status: where a flow stands now. */
import { flowParams, flowStatusAnswer } from '../../contract/api/protection-flows.ts'
import { listFlowRuns } from '../../db/queries/flow-runs.ts'
import { toExecution } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { shownFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Where a flow stands',
    needs: ['DB'],
    params: flowParams,
    responses: { 200: flowStatusAnswer },
    errors: ['FLOW_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const flow = await shownFlow(DB.orm, params.id)
    const [last] = (await listFlowRuns(DB.orm, flow.id, { limit: 1, offset: 0 })).rows
    return {
      ...flow.status,
      flow,
      last_execution: last ? toExecution(last, flow.name) : null,
      next_run: flow.next_execution,
    }
  },
)
