/** POST /machine-groups/{id}/vms: puts a VM into the group. */
import { assignVmAnswer, assignVmBody, groupParams, processingTimeSince } from '../../../contract/api/machine-groups.ts'
import { answer, defineFunction } from '../../../runtime/function.ts'
import { nameOfCaller } from '../../../workflows/caller-name.ts'
import { capacityOf, existingGroup, joinGroup } from '../../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Put a VM into a group',
    needs: ['DB', 'CLOCK'],
    params: groupParams,
    body: assignVmBody,
    responses: { 201: assignVmAnswer },
    errors: ['GROUP_NOT_FOUND', 'VM_NOT_FOUND', 'ALREADY_MEMBER'],
  },
  async ({ params, body, env: { DB, CLOCK }, caller }) => {
    const [began, now] = [performance.now(), CLOCK.now()]
    const group = await existingGroup(DB.orm, params.id)
    const { vm_context_id: vmContextId, priority, enabled } = body
    const vm = await joinGroup(DB.orm, group, { vmContextId, priority, enabled, addedBy: nameOfCaller(caller), now })
    return answer(201, {
      success: true,
      message: `${vm.vmName} is in ${group.name} now`,
      assigned_vm: {
        vm_context_id: vm.contextId,
        vm_name: vm.vmName,
        group_id: group.id,
        group_name: group.name,
        priority,
        enabled,
        assigned_at: now.toISOString(),
      },
      group_capacity: await capacityOf(DB.orm, group),
      ...processingTimeSince(began),
    })
  },
)
