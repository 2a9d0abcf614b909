/** GET /protection-flows/{id}: one flow. */
import { flow, flowParams } from '../../contract/api/protection-flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { shownFlow } from '../../workflows/flows.ts'

export default defineFunction(
  { summary: 'One flow', needs: ['DB'], params: flowParams, responses: { 200: flow }, errors: ['FLOW_NOT_FOUND'] },
  async ({ params, env: { DB } }) => shownFlow(DB.orm, params.id),
)
