/** GET /backups/{backup_id}/diff/{other_id}: files that differ between two restore points of one VM. */
import { diffAnswer, diffParams, diffQuery } from '../../contract/api/files.ts'
import { defineFunction } from '../../runtime/function.ts'
import { diffPoints } from '../../workflows/find-files.ts'

export default defineFunction(
  {
    summary: 'What changed between two backups',
    needs: ['DB'],
    params: diffParams,
    query: diffQuery,
    responses: { 200: diffAnswer },
    errors: ['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED', 'NOT_INDEXED'],
  },
  ({ params, query, env }) => diffPoints(env, params.backup_id, params.other_id, query),
)
