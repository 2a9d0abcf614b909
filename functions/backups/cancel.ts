/** POST /backups/{backup_id}/cancel: ends an active backup; its row stays, its files go. */
import { z } from 'zod'
import { cancelAnswer, cancelBody } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { HubError } from '../../contract/errors.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { settleFlowOf } from '../../workflows/advance-flow.ts'
import { jobEnded } from '../../workflows/complete-backup.ts'
import { endBackup } from '../../workflows/end-backup.ts'

export default defineFunction(
  {
    summary: 'Cancel a backup',
    needs: ['DB', 'AGENT', 'NODE', 'CLOCK'],
    params: z.object({ backup_id: id }),
    body: cancelBody,
    responses: { 200: cancelAnswer },
    errors: ['BACKUP_NOT_FOUND', 'JOB_ENDED'],
  },
  async ({ params, body, env }) => {
    const notFound = () =>
      new HubError('BACKUP_NOT_FOUND', 'Backup not found', { details: `no backup ${params.backup_id}` })
    if (!(await findBackup(env.DB.orm, params.backup_id))) throw notFound()
    await endBackup(env, params.backup_id, { status: 'cancelled', message: body.reason ?? null, tellNode: true })
    await settleFlowOf(env, params.backup_id)
    const now = await findBackup(env.DB.orm, params.backup_id)
    if (!now) throw notFound()
    if (now.job.status !== 'cancelled') throw jobEnded(now.job)
    return {
      backup_id: now.job.id,
      status: 'cancelled',
      message: 'backup cancelled',
      timestamp: env.CLOCK.now().toISOString(),
    }
  },
)
