/** GET /discovery/ungrouped-vms: managed VMs in no group. */
import { z } from 'zod'
import { counts, pagingQuery } from '../../contract/api/common.ts'
import { ungroupedAnswer } from '../../contract/api/discovery.ts'
import { iso, listUngrouped } from '../../db/queries/vms.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'VMs in no group',
    needs: ['DB', 'CLOCK'],
    query: z.object(pagingQuery()),
    responses: { 200: ungroupedAnswer },
  },
  async ({ query, env: { DB, CLOCK } }) => {
    const { rows, total } = await listUngrouped(DB.orm, query)
    const vms = rows.map((row) => ({
      context_id: row.contextId,
      vm_name: row.vmName,
      vm_path: row.vmPath,
      vcenter_host: row.vcenterHost,
      datacenter: row.datacenter,
      current_status: row.currentStatus,
      auto_added: row.autoAdded,
      scheduler_enabled: row.schedulerEnabled,
      cpu_count: row.cpuCount,
      memory_mb: row.memoryMb,
      os_type: row.osType,
      power_state: row.powerState,
      created_at: row.createdAt.toISOString(),
      last_job_at: iso(row.lastJobAt),
    }))
    return { vms, ...counts(vms, total), retrieved_at: CLOCK.now().toISOString() }
  },
)
