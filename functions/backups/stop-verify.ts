/** DELETE /backups/{backup_id}/verify: ends a check; what an earlier one has found stays. */
import { z } from 'zod'
import { verifyAnswer } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { HubError } from '../../contract/errors.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { endVerification } from '../../db/queries/verifications.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Stop verifying a backup',
    needs: ['DB'],
    params: z.object({ backup_id: id }),
    responses: { 200: verifyAnswer },
    errors: ['BACKUP_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const backup = await findBackup(DB.orm, params.backup_id)
    if (!backup) throw new HubError('BACKUP_NOT_FOUND', 'Backup not found')
    // Whoever runs it sees within a second that it is not wanted any more.
    await endVerification(DB.orm, params.backup_id)
    return {
      message: 'no check of this backup runs any more',
      backup_id: params.backup_id,
      verify_state: backup.job.verifyState,
      verification: null,
    }
  },
)
