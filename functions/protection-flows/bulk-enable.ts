/** POST /protection-flows/bulk-enable: turns several flows on. */
import { bulkChangeBody, bulkUpdateAnswer } from '../../contract/api/protection-flows.ts'
import { updateFlow } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { changeEach, existingFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Turn several flows on',
    needs: ['DB'],
    body: bulkChangeBody,
    responses: { 200: bulkUpdateAnswer },
  },
  async ({ body, env: { DB } }) => {
    const changed = await changeEach(body.flow_ids, async (id) =>
      updateFlow(DB.orm, (await existingFlow(DB.orm, id)).id, { enabled: true }),
    )
    return { updated_count: changed.successful, action: 'enable', ...changed }
  },
)
