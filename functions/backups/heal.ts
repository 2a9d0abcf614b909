/** POST /backups/{id}/heal: brings damaged or missing files back from a copy, then checks them. The same call again says how far it is. */
import { backupParams, healAnswer, healBody } from '../../contract/api/copies.ts'
import { toHeal } from '../../db/queries/copies.ts'
import { defineFunction } from '../../runtime/function.ts'
import { askForHeal } from '../../workflows/heal-backup.ts'

export default defineFunction(
  {
    summary: 'Heal a backup from a copy',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: backupParams,
    body: healBody,
    responses: { 200: healAnswer },
    errors: ['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED', 'CHAIN_IN_USE', 'COPY_NOT_FOUND'],
  },
  async ({ params, body, env }) => {
    const { backup, heal } = await askForHeal(env, params.id, body.repository_id)
    return {
      backup_id: backup.job.id,
      message: heal ? 'the backup is being healed' : 'no damage of this backup is known; verify it to look for some',
      verify_state: backup.job.verifyState,
      heal: toHeal(heal),
    }
  },
)
