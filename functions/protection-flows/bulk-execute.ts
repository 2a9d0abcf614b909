/** POST /protection-flows/bulk-execute: runs several flows now; one that can not run keeps none of the others from it. */
import { bulkExecuteAnswer, bulkExecuteBody } from '../../contract/api/protection-flows.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction } from '../../runtime/function.ts'
import { advanceFlow } from '../../workflows/advance-flow.ts'
import { beginFlow } from '../../workflows/begin-flow.ts'
import { orderOf } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Run several flows now',
    needs: ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS'],
    body: bulkExecuteBody,
    responses: { 200: bulkExecuteAnswer },
  },
  async ({ body, env, caller }) => {
    const { DB, CLOCK } = env
    const results = []
    for (const flow_id of body.flow_ids)
      try {
        const execution_id = await DB.transaction((tx) => beginFlow(tx, flow_id, orderOf(caller), CLOCK.now()))
        await advanceFlow(env, execution_id)
        results.push({ flow_id, success: true, execution_id, error: null, code: null })
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        results.push({ flow_id, success: false, execution_id: null, error: error.message, code: error.code })
      }
    const succeeded = results.filter(({ success }) => success).length
    return { results, total: results.length, succeeded, failed: results.length - succeeded }
  },
)
