/** GET /backups/{id}/copies: all copies of a backup, as a bare array. */
import { backupParams, copiesAnswer } from '../../contract/api/copies.ts'
import { HubError } from '../../contract/errors.ts'
import { stateOfBackup } from '../../db/queries/backups.ts'
import { showCopies } from '../../db/queries/copies.ts'
import { answer, defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Copies of a backup',
    needs: ['DB'],
    params: backupParams,
    responses: { 200: copiesAnswer },
    errors: ['BACKUP_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    if (!(await stateOfBackup(DB.orm, params.id))) throw new HubError('BACKUP_NOT_FOUND', 'Backup not found')
    const copies = await showCopies(DB.orm, params.id)
    return answer(200, copies, { 'X-Total-Count': String(copies.length) })
  },
)
