/** PUT /vm-contexts/{context_id}/group: puts a VM into a group, or changes how it is in it. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { setGroupAnswer, setGroupBody } from '../../contract/api/machine-groups.ts'
import { HubError } from '../../contract/errors.ts'
import { findGroup, findMembership, toMembership, updateMembership } from '../../db/queries/groups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { nameOfCaller } from '../../workflows/caller-name.ts'
import { findVmById } from '../../workflows/find-vm.ts'
import { joinGroup } from '../../workflows/groups.ts'

export default defineFunction(
  {
    summary: "Set a VM's group",
    needs: ['DB', 'CLOCK'],
    params: z.object({ context_id: id }),
    body: setGroupBody,
    responses: { 200: setGroupAnswer },
    errors: ['VM_NOT_FOUND', 'UNKNOWN_GROUP'],
  },
  async ({ params, body, env: { DB, CLOCK }, caller }) => {
    const vm = await findVmById(DB.orm, params.context_id)
    const group = await findGroup(DB.orm, body.group_id)
    if (!group) throw new HubError('UNKNOWN_GROUP', 'There is no such group', { details: body.group_id.slice(0, 100) })
    const { priority, enabled } = body
    try {
      await joinGroup(DB.orm, group, {
        vmContextId: vm.contextId,
        priority: priority ?? 0,
        enabled: enabled ?? true,
        addedBy: nameOfCaller(caller, body.added_by),
        now: CLOCK.now(),
      })
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'ALREADY_MEMBER') throw error
      if (priority !== undefined || enabled !== undefined)
        await updateMembership(DB.orm, group.id, vm.contextId, { priority, enabled })
    }
    const { vm_context_id, added_at, added_by, ...is } = toMembership(
      (await findMembership(DB.orm, group.id, vm.contextId))!,
    )
    return {
      success: true,
      message: `${vm.vmName} is in ${group.name}`,
      vm_context_id,
      group_id: group.id,
      priority: is.priority,
      enabled: is.enabled,
      added_at,
      added_by,
    }
  },
)
