/** GET /backups: backups, newest first. */
import { listAnswer, listQuery } from '../../contract/api/backups.ts'
import { counts } from '../../contract/api/common.ts'
import { HubError } from '../../contract/errors.ts'
import { toBackups } from '../../db/queries/backup-answers.ts'
import { listBackups, newestBackup, vmHasBackups, vmOfBackup } from '../../db/queries/backups.ts'
import { findVmsByName, withGroups } from '../../db/queries/vms.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'List backups',
    needs: ['DB'],
    query: listQuery,
    responses: { 200: listAnswer },
    errors: ['VM_NOT_FOUND'],
  },
  async ({ query, env: { DB } }) => {
    const { vm_name, vm_context_id, repository_id, backup_type, type, status, limit, offset } = query
    const filter = {
      vmName: vm_name,
      vmContextId: vm_context_id,
      repositoryId: repository_id,
      type: backup_type ?? type,
      status,
    }
    const { rows, total } = await listBackups(DB.orm, filter, { limit, offset })
    const list = { backups: await toBackups(DB.orm, rows), ...counts(rows, total) }
    if (vm_name === undefined) return list

    const managed = await findVmsByName(DB.orm, vm_name)
    if (managed.length === 0 && !(await vmHasBackups(DB.orm, vm_name)))
      throw new HubError('VM_NOT_FOUND', 'VM not found', { details: 'no VM of this name is managed or has backups' })
    const newest = await newestBackup(DB.orm, { vmName: vm_name })
    const vm = newest ? await vmOfBackup(DB.orm, newest) : managed[0]
    return { ...list, vm_context: vm ? await withGroups(DB.orm, vm) : null }
  },
)
