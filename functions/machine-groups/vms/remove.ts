/** DELETE /machine-groups/{id}/vms/{vm_context_id}: takes a VM out of the group. */
import { membershipParams, processingTimeSince, removeVmAnswer } from '../../../contract/api/machine-groups.ts'
import { deleteMembership } from '../../../db/queries/groups.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { existingGroup, membershipNotFound } from '../../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Take a VM out of a group',
    needs: ['DB'],
    params: membershipParams,
    responses: { 200: removeVmAnswer },
    errors: ['GROUP_NOT_FOUND', 'MEMBERSHIP_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const began = performance.now()
    const group = await existingGroup(DB.orm, params.id)
    if (!(await deleteMembership(DB.orm, group.id, params.vm_context_id))) throw membershipNotFound()
    return { success: true, message: `the VM is not in ${group.name} any more`, ...processingTimeSince(began) }
  },
)
