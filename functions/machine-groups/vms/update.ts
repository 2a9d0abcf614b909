/** PUT /machine-groups/{id}/vms/{vm_context_id}: changes a membership. */
import { membership, membershipParams, updateMembershipBody } from '../../../contract/api/machine-groups.ts'
import { findMembership, toMembership, updateMembership } from '../../../db/queries/groups.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { existingGroup, membershipNotFound } from '../../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Change a membership',
    needs: ['DB'],
    params: membershipParams,
    body: updateMembershipBody,
    responses: { 200: membership },
    errors: ['GROUP_NOT_FOUND', 'MEMBERSHIP_NOT_FOUND'],
  },
  async ({ params, body, env: { DB } }) => {
    const group = await existingGroup(DB.orm, params.id)
    if (body.priority !== undefined || body.enabled !== undefined)
      await updateMembership(DB.orm, group.id, params.vm_context_id, body)
    const member = await findMembership(DB.orm, group.id, params.vm_context_id)
    if (!member) throw membershipNotFound()
    return toMembership(member)
  },
)
