/** GET /vms/{id}: one VM of the inventory by VMware id. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { vmAnswer } from '../../contract/api/inventory.ts'
import { HubError } from '../../contract/errors.ts'
import { findInventoryVm } from '../../db/queries/inventory.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'One VM of the inventory',
    needs: ['DB'],
    params: z.object({ id }),
    responses: { 200: vmAnswer },
    errors: ['VM_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const vm = await findInventoryVm(DB.orm, params.id)
    if (!vm) throw new HubError('VM_NOT_FOUND', 'VM not found', { details: 'the inventory has no such id' })
    return vm
  },
)
