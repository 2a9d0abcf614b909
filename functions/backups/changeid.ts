/** GET /backups/changeid: the change id that an incremental of one disk starts from. */
import { changeIdAnswer, changeIdQuery } from '../../contract/api/backups.ts'
import { HubError } from '../../contract/errors.ts'
import { findBackup, newestChangeId, vmHasBackups } from '../../db/queries/backups.ts'
import { findVmsByName } from '../../db/queries/vms.ts'
import { defineFunction } from '../../runtime/function.ts'
import { checkJobToken } from '../../workflows/check-job-token.ts'

export default defineFunction(
  {
    summary: 'The change id of a disk',
    needs: ['DB', 'CLOCK'],
    query: changeIdQuery,
    responses: { 200: changeIdAnswer },
    errors: ['NO_CHANGE_ID', 'VM_NOT_FOUND'],
  },
  async ({ query, env, caller }) => {
    const { DB } = env
    if ((await findVmsByName(DB.orm, query.vm_name)).length === 0 && !(await vmHasBackups(DB.orm, query.vm_name)))
      throw new HubError('VM_NOT_FOUND', 'VM not found')
    const none = () =>
      new HubError('NO_CHANGE_ID', 'There is no change id for this disk', { details: 'copy everything' })
    let found = await newestChangeId(DB.orm, query.vm_name, query.disk_id, query.repository_id)
    if (caller.kind === 'job') {
      // A job starts from its own parent, and a full from nothing.
      await checkJobToken(env, caller, caller.jobId)
      if (caller.vmName !== query.vm_name) throw new HubError('TOKEN_SCOPE', 'This token belongs to another VM')
      const job = (await findBackup(DB.orm, caller.jobId))?.job
      const parent = job?.parentBackupId ? await findBackup(DB.orm, job.parentBackupId) : undefined
      const disk = parent?.disks.find(({ diskIndex }) => diskIndex === query.disk_id)
      found = parent && disk ? { job: parent.job, disk } : undefined
    }
    if (!found || found.disk.diskChangeId === null) throw none()
    return {
      vm_name: query.vm_name,
      disk_id: String(query.disk_id),
      change_id: found.disk.diskChangeId,
      backup_id: found.job.id,
      backup_job_id: found.job.id,
      backup_type: found.job.backupType,
      completed_at: found.job.completedAt?.toISOString() ?? '',
      message: 'change id found',
    }
  },
)
