/** GET /machine-groups/{id}/vms: the members of a group, in the order in which they run. */
import { page } from '../../../contract/api/common.ts'
import { groupParams, listMembersQuery, membersAnswer } from '../../../contract/api/machine-groups.ts'
import { membersOf } from '../../../db/queries/groups.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { existingGroup } from '../../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Members of a group',
    needs: ['DB', 'CLOCK'],
    params: groupParams,
    query: listMembersQuery,
    responses: { 200: membersAnswer },
    errors: ['GROUP_NOT_FOUND'],
  },
  async ({ params, query, env: { DB, CLOCK } }) => {
    const group = await existingGroup(DB.orm, params.id)
    const { shown, ...counted } = page(await membersOf(DB.orm, group.id), query)
    return {
      group_id: group.id,
      group_name: group.name,
      total_vms: counted.total,
      vms: shown.map(({ membership, vm }) => ({
        vm_context_id: vm.contextId,
        vm_name: vm.vmName,
        vmware_vm_id: vm.vmwareVmId,
        priority: membership.priority,
        enabled: membership.enabled,
        added_at: (membership.addedAt ?? membership.createdAt).toISOString(),
        added_by: membership.addedBy,
      })),
      ...counted,
      retrieved_at: CLOCK.now().toISOString(),
    }
  },
)
