/** GET /vm-contexts/by-id/{context_id}: one VM in full, by context id. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { vmContextAnswer } from '../../contract/api/vm-contexts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { findVmById } from '../../workflows/find-vm.ts'
import { showVm } from '../../workflows/show-vm.ts'

export default defineFunction(
  {
    summary: 'One VM in full, by context id',
    needs: ['DB'],
    params: z.object({ context_id: id }),
    responses: { 200: vmContextAnswer },
    errors: ['VM_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => showVm(DB.orm, await findVmById(DB.orm, params.context_id)),
)
