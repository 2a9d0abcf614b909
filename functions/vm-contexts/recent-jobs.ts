/** GET /vm-contexts/{context_id}/recent-jobs: the 20 newest jobs of any kind; context id or VM name. */
import { z } from 'zod'
import { name, page, pagingQuery } from '../../contract/api/common.ts'
import { recentJobsAnswer } from '../../contract/api/vm-contexts.ts'
import { recentJobs } from '../../db/queries/jobs.ts'
import { defineFunction } from '../../runtime/function.ts'
import { findVmByNameOrId } from '../../workflows/find-vm.ts'

export default defineFunction(
  {
    summary: 'Newest jobs of a VM',
    needs: ['DB'],
    params: z.object({ context_id: name }),
    query: z.object(pagingQuery()),
    responses: { 200: recentJobsAnswer },
    errors: ['VM_NOT_FOUND', 'VM_AMBIGUOUS'],
  },
  async ({ params, query, env: { DB } }) => {
    const vm = await findVmByNameOrId(DB.orm, params.context_id)
    const { shown, ...counted } = page(await recentJobs(DB.orm, vm.contextId), query)
    return { context_id: vm.contextId, jobs: shown, ...counted }
  },
)
