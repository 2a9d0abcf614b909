/** POST /protection-flows: protects a VM or a group. */
import { randomUUID } from 'node:crypto'
import { createFlowBody, flow } from '../../contract/api/protection-flows.ts'
import { HubError } from '../../contract/errors.ts'
import { insertFlow } from '../../db/queries/flows.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { nameOfCaller } from '../../workflows/caller-name.ts'
import { checkLinks, findTarget, shownFlow } from '../../workflows/flows.ts'
import { withFreeName } from '../../workflows/free-name.ts'

export default defineFunction(
  {
    summary: 'Create a flow',
    needs: ['DB'],
    body: createFlowBody,
    responses: { 201: flow },
    errors: ['UNKNOWN_TARGET', 'UNKNOWN_REPOSITORY', 'UNKNOWN_SCHEDULE', 'UNKNOWN_POLICY', 'NAME_TAKEN'],
  },
  async ({ body, env: { DB }, caller }) => {
    const links = { repositoryId: body.repository_id, policyId: body.policy_id, scheduleId: body.schedule_id }
    const targetId = await findTarget(DB.orm, { targetType: body.target_type, targetId: body.target_id })
    if (targetId === undefined)
      throw new HubError('UNKNOWN_TARGET', `There is no such ${body.target_type}`, {
        details: body.target_id.slice(0, 100),
      })
    await checkLinks(DB.orm, links)
    const id = randomUUID()
    await withFreeName(body.name, () =>
      insertFlow(DB.orm, {
        id,
        name: body.name,
        description: body.description,
        flowType: body.flow_type,
        targetType: body.target_type,
        targetId,
        ...links,
        enabled: body.enabled,
        createdBy: nameOfCaller(caller),
      }),
    )
    return answer(201, await shownFlow(DB.orm, id))
  },
)
