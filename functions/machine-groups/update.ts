/** PUT /machine-groups/{id}: changes the sent fields. */
import { group, groupParams, updateGroupBody } from '../../contract/api/machine-groups.ts'
import { showGroups, updateGroup } from '../../db/queries/groups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { existingGroup } from '../../workflows/groups.ts'
import { checkScheduleNamed } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Change a group',
    needs: ['DB'],
    params: groupParams,
    body: updateGroupBody,
    responses: { 200: group },
    errors: ['GROUP_NOT_FOUND', 'NAME_TAKEN', 'UNKNOWN_SCHEDULE'],
  },
  async ({ params, body, env: { DB } }) => {
    const { id } = await existingGroup(DB.orm, params.id)
    await checkScheduleNamed(DB.orm, body.schedule_id)
    await withFreeName(body.name, () =>
      updateGroup(DB.orm, id, {
        name: body.name,
        description: body.description,
        scheduleId: body.schedule_id,
        maxConcurrentVms: body.max_concurrent_vms,
        priority: body.priority,
      }),
    )
    return (await showGroups(DB.orm, { id }))[0]!
  },
)
