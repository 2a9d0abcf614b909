/** GET /vm-contexts/{vm_name}: one VM in full. */
import { z } from 'zod'
import { name } from '../../contract/api/common.ts'
import { vmContextAnswer } from '../../contract/api/vm-contexts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { findVmByNameOrId } from '../../workflows/find-vm.ts'
import { showVm } from '../../workflows/show-vm.ts'

export default defineFunction(
  {
    summary: 'One VM in full',
    needs: ['DB'],
    params: z.object({ vm_name: name }),
    responses: { 200: vmContextAnswer },
    errors: ['VM_NOT_FOUND', 'VM_AMBIGUOUS'],
  },
  async ({ params, env: { DB } }) => showVm(DB.orm, await findVmByNameOrId(DB.orm, params.vm_name)),
)
