/** POST /backups/{id}/copy: copies a completed backup, and what it builds on, to another repository. */
import { backupParams, copyBackupAnswer, copyBackupBody } from '../../contract/api/copies.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { askForCopy } from '../../workflows/copy-backups.ts'

export default defineFunction(
  {
    summary: 'Copy a backup',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: backupParams,
    body: copyBackupBody,
    responses: { 201: copyBackupAnswer },
    errors: [
      'BACKUP_NOT_FOUND',
      'BACKUP_NOT_COMPLETED',
      'UNKNOWN_REPOSITORY',
      'REPOSITORY_DISABLED',
      'COPY_EXISTS',
      'CHAIN_BROKEN',
      'INSUFFICIENT_STORAGE',
    ],
  },
  async ({ params, body, env }) => {
    const { repository_id: repositoryId, verify_after_copy: verifyAfterCopy } = body
    const copy = await askForCopy(env, params.id, { repositoryId, verifyAfterCopy, ruleId: null })
    return answer(201, { copy_id: copy.id, status: 'pending', message: 'the copy is queued' })
  },
)
