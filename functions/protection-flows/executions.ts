/** GET /protection-flows/{id}/executions: the runs of a flow, newest first. */
import { counts } from '../../contract/api/common.ts'
import { executionsAnswer, executionsQuery, flowParams } from '../../contract/api/protection-flows.ts'
import { listFlowRuns } from '../../db/queries/flow-runs.ts'
import { toExecution } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Runs of a flow',
    needs: ['DB'],
    params: flowParams,
    query: executionsQuery,
    responses: { 200: executionsAnswer },
    errors: ['FLOW_NOT_FOUND'],
  },
  async ({ params, query: { limit, offset = 0 }, env: { DB } }) => {
    const { id, name } = await existingFlow(DB.orm, params.id)
    const { rows, total } = await listFlowRuns(DB.orm, id, { limit, offset })
    return { executions: rows.map((row) => toExecution(row, name)), ...counts(rows, total) }
  },
)
