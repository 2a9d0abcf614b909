/** GET /vms: all VMs of the inventory. */
import { z } from 'zod'
import { page, pagingQuery, str } from '../../contract/api/common.ts'
import { vmsAnswer } from '../../contract/api/inventory.ts'
import { listInventory } from '../../db/queries/inventory.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'List the inventory',
    needs: ['DB'],
    query: z.object({ vcenter_host: str(1).optional(), search: str().optional(), ...pagingQuery() }),
    responses: { 200: vmsAnswer },
  },
  async ({ query, env: { DB } }) => {
    const { shown, ...counted } = page(
      await listInventory(DB.orm, { vcenterHost: query.vcenter_host, search: query.search }),
      query,
    )
    return { vms: shown, ...counted }
  },
)
