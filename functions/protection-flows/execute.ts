/** POST /protection-flows/{id}/execute: runs a flow now, enabled or not. */
import { executeAnswer, flowParams } from '../../contract/api/protection-flows.ts'
import { findFlowRun } from '../../db/queries/flow-runs.ts'
import { toExecution } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { advanceFlow } from '../../workflows/advance-flow.ts'
import { beginFlow } from '../../workflows/begin-flow.ts'
import { existingFlow, orderOf } from '../../workflows/flows.ts'

export default defineFunction(
  {
    summary: 'Run a flow now',
    needs: ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS'],
    params: flowParams,
    responses: { 200: executeAnswer },
    errors: ['FLOW_NOT_FOUND', 'FLOW_RUNNING', 'NO_ACTIVE_OSSEA_CONFIG'],
  },
  async ({ params, env, caller }) => {
    const { DB, CLOCK } = env
    const { id, name } = await existingFlow(DB.orm, params.id)
    const runId = await DB.transaction((tx) => beginFlow(tx, id, orderOf(caller), CLOCK.now()))
    await advanceFlow(env, runId)
    const run = (await findFlowRun(DB.orm, runId))!
    return {
      ...toExecution(run, name),
      message: `${run.jobsCreated} of ${run.vmsProcessed} backups started`,
    }
  },
)
