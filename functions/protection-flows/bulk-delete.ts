/** POST /protection-flows/bulk-delete: removes several flows with their runs. */
import { bulkChangeBody, bulkDeleteAnswer } from '../../contract/api/protection-flows.ts'
import { deleteFlow } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { changeEach, existingFlow } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Remove several flows',
    needs: ['DB'],
    body: bulkChangeBody,
    responses: { 200: bulkDeleteAnswer },
  },
  async ({ body, env: { DB } }) => {
    const changed = await changeEach(body.flow_ids, async (id) =>
      deleteFlow(DB.orm, (await existingFlow(DB.orm, id)).id),
    )
    return { deleted_count: changed.successful, action: 'delete', ...changed }
  },
)
