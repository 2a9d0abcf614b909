/** DELETE /machine-groups/{id}: removes a group that is empty and that no flow protects. */
import { deleteGroupAnswer, groupParams } from '../../contract/api/machine-groups.ts'
import { HubError } from '../../contract/errors.ts'
import { countMembers, deleteGroup, flowsOfGroup } from '../../db/queries/groups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingGroup } from '../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Remove a group',
    needs: ['DB', 'CLOCK'],
    params: groupParams,
    responses: { 200: deleteGroupAnswer },
    errors: ['GROUP_NOT_FOUND', 'GROUP_NOT_EMPTY'],
  },
  async ({ params, env: { DB, CLOCK } }) => {
    const name = await DB.transaction(async (tx) => {
      const row = await existingGroup(tx, params.id)
      const total_vms = await countMembers(tx, row.id)
      if (total_vms > 0)
        throw new HubError('GROUP_NOT_EMPTY', 'The group has members', {
          details: 'take its VMs out first',
          extra: { total_vms },
        })
      const flows = await flowsOfGroup(tx, row.id)
      if (flows.length > 0)
        throw new HubError('GROUP_NOT_EMPTY', 'Flows protect this group', {
          details: 'remove these flows first',
          extra: { flows },
        })
      await deleteGroup(tx, row.id)
      return row.name
    })
    return {
      success: true,
      message: `group ${name} removed`,
      group_id: params.id,
      timestamp: CLOCK.now().toISOString(),
    }
  },
)
