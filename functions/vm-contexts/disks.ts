/** GET /vm-contexts/{vm_name}/disks: disks from the last discovery; the parameter is a VM name or a context id. */
import { z } from 'zod'
import { name, page, pagingQuery } from '../../contract/api/common.ts'
import { vmDisksAnswer } from '../../contract/api/vm-contexts.ts'
import { disksOf, toVmDisk } from '../../db/queries/vms.ts'
import { defineFunction } from '../../runtime/function.ts'
import { findVmByNameOrId } from '../../workflows/find-vm.ts'

export default defineFunction(
  {
    summary: 'Disks of a VM',
    needs: ['DB'],
    params: z.object({ vm_name: name }),
    query: z.object(pagingQuery()),
    responses: { 200: vmDisksAnswer },
    errors: ['VM_NOT_FOUND', 'VM_AMBIGUOUS'],
  },
  async ({ params, query, env: { DB } }) => {
    const vm = await findVmByNameOrId(DB.orm, params.vm_name)
    const { shown, ...counted } = page((await disksOf(DB.orm, vm.contextId)).map(toVmDisk), query)
    return { vm_name: vm.vmName, context_id: vm.contextId, disks: shown, total_disks: counted.total_count, ...counted }
  },
)
