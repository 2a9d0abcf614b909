/** PATCH /protection-flows/{id}/disable: turns a flow off. */
import { flow, flowParams } from '../../contract/api/protection-flows.ts'
import { updateFlow } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingFlow, shownFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Turn a flow off',
    needs: ['DB'],
    params: flowParams,
    responses: { 200: flow },
    errors: ['FLOW_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const { id } = await existingFlow(DB.orm, params.id)
    await updateFlow(DB.orm, id, { enabled: false })
    return shownFlow(DB.orm, id)
  },
)
