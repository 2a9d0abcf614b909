/** PUT /backups/{backup_id}/protection: keeps a restore point whatever its policy says, or lets the policy decide again. */
import { z } from 'zod'
import { backup, protectionBody } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { toBackups } from '../../db/queries/backup-answers.ts'
import { defineFunction } from '../../runtime/function.ts'
import { setProtection } from '../../workflows/protect-backup.ts'

export default defineFunction(
  {
    summary: 'Protect a restore point',
    needs: ['DB'],
    params: z.object({ backup_id: id }),
    body: protectionBody,
    responses: { 200: backup },
    errors: ['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED'],
  },
  async ({ params, body, env: { DB } }) => {
    const [shown] = await toBackups(DB.orm, [await setProtection(DB, params.backup_id, body.protected)])
    return shown!
  },
)
