/** PUT /protection-flows/{id}: changes the sent fields; type and target stay what they are. */
import { flow, flowParams, updateFlowBody } from '../../contract/api/protection-flows.ts'
import { HubError } from '../../contract/errors.ts'
import { updateFlow } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'
import { checkLinks, existingFlow, shownFlow } from '../../workflows/flows.ts'
import { withFreeName } from '../../workflows/free-name.ts'

export default defineFunction(
  {
    summary: 'Change a flow',
    needs: ['DB'],
    params: flowParams,
    body: updateFlowBody,
    responses: { 200: flow },
    errors: ['FLOW_NOT_FOUND', 'UNKNOWN_REPOSITORY', 'UNKNOWN_SCHEDULE', 'UNKNOWN_POLICY', 'NAME_TAKEN'],
  },
  async ({ params, body, env: { DB } }) => {
    const before = await existingFlow(DB.orm, params.id)
    if (before.flowType === 'backup' && body.repository_id === null)
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [{ field: 'repository_id', message: 'is required for a backup flow', code: 'REQUIRED' }],
      })
    const links = { repositoryId: body.repository_id, policyId: body.policy_id, scheduleId: body.schedule_id }
    await checkLinks(DB.orm, links)
    await withFreeName(body.name, () =>
      updateFlow(DB.orm, before.id, {
        name: body.name,
        description: body.description,
        ...links,
        enabled: body.enabled,
      }),
    )
    return shownFlow(DB.orm, before.id)
  },
)
