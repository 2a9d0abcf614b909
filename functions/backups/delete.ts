/** DELETE /backups/{backup_id}: removes a backup, its files and its copies. */
import { z } from 'zod'
import { deleteAnswer, deleteQuery } from '../../contract/api/backups.ts'
import { id } from '../../contract/api/common.ts'
import { defineFunction } from '../../runtime/function.ts'
import { deleteBackup } from '../../workflows/delete-backup.ts'

export default defineFunction(
  {
    summary: 'Delete a backup',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ backup_id: id }),
    query: deleteQuery,
    responses: { 200: deleteAnswer },
    errors: ['BACKUP_NOT_FOUND', 'HAS_DEPENDENTS', 'BACKUP_RUNNING', 'IMMUTABLE_RETENTION_ACTIVE', 'COPY_RUNNING'],
  },
  async ({ params, query, env }) => {
    const { deletedIds, freedBytes } = await deleteBackup(env, params.backup_id, query.cascade)
    return {
      message: 'backup deleted',
      backup_id: params.backup_id,
      deleted_backup_ids: deletedIds,
      freed_bytes: freedBytes,
    }
  },
)
