/** GET /vm-groups/{group_id}/members: the enabled members of a group with what they are. */
import { z } from 'zod'
import { id, page, pagingQuery } from '../../contract/api/common.ts'
import { enabledMembersAnswer } from '../../contract/api/machine-groups.ts'
import { membersOf } from '../../db/queries/groups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingGroup } from '../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Enabled members of a group',
    needs: ['DB'],
    params: z.object({ group_id: id }),
    query: z.object(pagingQuery()),
    responses: { 200: enabledMembersAnswer },
    errors: ['GROUP_NOT_FOUND'],
  },
  async ({ params, query, env: { DB } }) => {
    const group = await existingGroup(DB.orm, params.group_id)
    const enabled = (await membersOf(DB.orm, group.id)).filter(({ membership }) => membership.enabled)
    const { shown, ...counted } = page(enabled, query)
    return {
      members: shown.map(({ vm }) => ({
        context_id: vm.contextId,
        vm_name: vm.vmName,
        cpu_count: vm.cpuCount,
        memory_mb: vm.memoryMb,
        os_type: vm.osType,
        power_state: vm.powerState,
      })),
      ...counted,
    }
  },
)
