/** POST /vms/inventory: a node replaces the inventory of one vCenter and datacenter. */
import { inventoryAnswer, inventoryBody } from '../../contract/api/inventory.ts'
import { replaceInventory } from '../../db/queries/inventory.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Replace the inventory of a vCenter',
    needs: ['DB', 'CLOCK'],
    body: inventoryBody,
    bodyMaxBytes: 16 * 1024 * 1024,
    responses: { 200: inventoryAnswer },
  },
  async ({ body: { vcenter, vms }, env: { DB, CLOCK } }) => {
    await DB.transaction((tx) => replaceInventory(tx, vcenter.host, vcenter.datacenter, vms))
    return { message: 'inventory stored', vm_count: vms.length, timestamp: CLOCK.now().toISOString() }
  },
)
