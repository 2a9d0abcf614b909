/** POST /backups/{backup_id}/complete: one disk, or several, has been copied completely. */
import { z } from 'zod'
import { completeAnswer, completeBody } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { HubError } from '../../contract/errors.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { settleFlowOf } from '../../workflows/advance-flow.ts'
import { applyRetention } from '../../workflows/apply-retention.ts'
import { checkJobToken } from '../../workflows/check-job-token.ts'
import { completeDisks } from '../../workflows/complete-backup.ts'

export default defineFunction(
  {
    summary: 'Report copied disks',
    needs: ['DB', 'AGENT', 'NODE', 'CLOCK'],
    params: z.object({ backup_id: id }),
    body: completeBody,
    responses: { 200: completeAnswer },
    errors: ['BACKUP_NOT_FOUND', 'DISK_NOT_FOUND', 'DISK_ID_REQUIRED', 'CHANGE_ID_CONFLICT', 'JOB_ENDED'],
  },
  async ({ params, body, env, caller }) => {
    await checkJobToken(env, caller, params.backup_id)
    const backup = await findBackup(env.DB.orm, params.backup_id)
    if (!backup) throw new HubError('BACKUP_NOT_FOUND', 'Backup not found')
    if (!body.disks && body.disk_id === undefined && backup.disks.length > 1)
      throw new HubError('DISK_ID_REQUIRED', 'This backup has several disks', {
        details: 'send disk_id, the index of the disk',
        fields: [{ field: 'disk_id', message: 'is required', code: 'REQUIRED' }],
      })
    const named = body.disks ?? [
      {
        disk_index: body.disk_id ?? backup.disks[0]!.diskIndex,
        change_id: body.change_id!,
        bytes_transferred: body.bytes_transferred,
      },
    ]
    const wanted = named.map((disk) => ({
      diskIndex: disk.disk_index,
      changeId: disk.change_id,
      bytesTransferred: disk.bytes_transferred || null,
    }))
    const { job, disks } = await completeDisks(env, params.backup_id, wanted)
    if (job.status === 'completed') {
      await settleFlowOf(env, job.id)
      if (job.policyId !== null) await applyRetention(env, job.vmBackupContextId)
    }
    const completed = disks.filter(({ status }) => status === 'completed').length
    return {
      status: 'completed',
      backup_id: job.id,
      change_id: wanted[0]!.changeId,
      message: job.status === 'completed' ? 'backup completed' : `${completed} of ${disks.length} disks completed`,
      timestamp: env.CLOCK.now().toISOString(),
      job_status: job.status,
      disks_completed: completed,
      disks_total: disks.length,
      disks: disks.map(({ diskIndex, status, diskChangeId }) => ({
        disk_index: diskIndex,
        status,
        change_id: diskChangeId,
      })),
    }
  },
)
