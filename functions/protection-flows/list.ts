/** GET /protection-flows: all flows with how they stand, by name. */
import { page } from '../../contract/api/common.ts'
import { flowsAnswer, listFlowsQuery } from '../../contract/api/protection-flows.ts'
import { showFlows } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'List flows', needs: ['DB'], query: listFlowsQuery, responses: { 200: flowsAnswer } },
  async ({ query, env: { DB } }) => {
    const { flow_type: flowType, target_type: targetType, enabled } = query
    const { shown, ...counted } = page(await showFlows(DB.orm, { flowType, targetType, enabled }), query)
    return { flows: shown, ...counted }
  },
)
