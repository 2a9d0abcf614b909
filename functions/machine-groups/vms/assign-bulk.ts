/** POST /machine-groups/{id}/vms/bulk: puts several VMs in; one that can not be put in keeps none of the others out. */

import { duration } from '../../../contract/api/common.ts'
import { assignVmsAnswer, assignVmsBody, groupParams } from '../../../contract/api/machine-groups.ts'
import { HubError } from '../../../contract/errors.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { nameOfCaller } from '../../../workflows/caller-name.ts'
import { capacityOf, existingGroup, joinGroup } from '../../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'Put several VMs into a group',
    needs: ['DB', 'CLOCK'],
    params: groupParams,
    body: assignVmsBody,
    responses: { 200: assignVmsAnswer },
    errors: ['GROUP_NOT_FOUND'],
  },
  async ({ params, body, env: { DB, CLOCK }, caller }) => {
    const began = performance.now()
    const group = await existingGroup(DB.orm, params.id)
    const { priority, enabled } = body
    const joining = { priority, enabled, addedBy: nameOfCaller(caller), now: CLOCK.now() }
    const successful: string[] = []
    const failed: string[] = []
    const messages: Record<string, string> = {}
    for (const vmContextId of body.vm_context_ids)
      try {
        await joinGroup(DB.orm, group, { ...joining, vmContextId })
        successful.push(vmContextId)
      } catch (error) {
        if (!(error instanceof HubError)) throw error
        failed.push(vmContextId)
        messages[vmContextId] = error.message
      }
    return {
      success: failed.length === 0,
      message: `${successful.length} of ${body.vm_context_ids.length} VMs put into ${group.name}`,
      bulk_result: {
        total_requested: body.vm_context_ids.length,
        successful: successful.length,
        failed: failed.length,
        successful_ids: successful,
        failed_ids: failed,
        error_messages: messages,
        ...duration('duration', performance.now() - began),
      },
      group_capacity: await capacityOf(DB.orm, group),
    }
  },
)
