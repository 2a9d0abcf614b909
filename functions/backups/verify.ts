/** POST /backups/{backup_id}/verify: has a restore point read again and compared with its checksums. */
import { z } from 'zod'
import { verifyAnswer, verifyBody } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { toVerification } from '../../db/queries/verifications.ts'
import { defineFunction } from '../../runtime/function.ts'
import { askForVerification } from '../../workflows/verify-backups.ts'

export default defineFunction(
  {
    summary: 'Verify a backup',
    needs: ['DB', 'CLOCK'],
    params: z.object({ backup_id: id }),
    body: verifyBody,
    responses: { 200: verifyAnswer },
    errors: ['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED'],
  },
  async ({ params, body, env }) => {
    const { backup, run } = await askForVerification(env, params.backup_id, body.bytes_per_second)
    return {
      message: 'the check begins within seconds; GET /backups/{backup_id} shows how far it is',
      backup_id: backup.job.id,
      verify_state: backup.job.verifyState,
      verification: toVerification(run),
    }
  },
)
