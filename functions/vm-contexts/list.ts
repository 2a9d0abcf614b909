/** GET /vm-contexts: all managed VMs with their groups. */
import { z } from 'zod'
import { counts, pagingQuery, queryBool, str } from '../../contract/api/common.ts'
import { vmContextsAnswer, vmSorts, vmStatuses } from '../../contract/api/vm-contexts.ts'
import { protectionOf } from '../../db/queries/protection.ts'
import { diskCounts, groupsOf, iso, lastBackups, listVms, toContext } from '../../db/queries/vms.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'List managed VMs',
    needs: ['DB'],
    query: z.object({
      search: str().optional(),
      status: z.enum(vmStatuses).optional(),
      auto_added: queryBool.optional(),
      protected: queryBool.optional(),
      sort: z.enum(vmSorts).optional(),
      ...pagingQuery(),
    }),
    responses: { 200: vmContextsAnswer },
  },
  async ({ query: { search, status, auto_added, protected: isProtected, sort, ...paging }, env: { DB } }) => {
    const { rows, total } = await listVms(DB.orm, { search, status, autoAdded: auto_added, isProtected, sort }, paging)
    const ids = rows.map(({ contextId }) => contextId)
    const [groups, disks, last, protection] = await Promise.all([
      groupsOf(DB.orm, ids),
      diskCounts(DB.orm, ids),
      lastBackups(DB.orm, ids),
      protectionOf(DB.orm, ids),
    ])
    const vm_contexts = rows.map((row) => ({
      ...toContext(row, groups.get(row.contextId) ?? []),
      disk_count: disks.get(row.contextId) ?? 0,
      last_backup: last.get(row.contextId) ?? null,
      is_protected: protection.has(row.contextId),
      next_run: iso(protection.get(row.contextId)?.nextRun ?? null),
    }))
    return { vm_contexts, ...counts(rows, total) }
  },
)
