/** POST /backups/{backup_id}/index: has the files of a restore point made known, so that they can be searched. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { fileIndex } from '../../contract/api/files.ts'
import { toFileIndex } from '../../db/queries/file-index.ts'
import { defineFunction } from '../../runtime/function.ts'
import { askForIndex } from '../../workflows/index-files.ts'

export default defineFunction(
  {
    summary: 'Index the files of a backup',
    needs: ['DB', 'CLOCK'],
    params: z.object({ backup_id: id }),
    responses: { 200: fileIndex },
    errors: ['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED'],
  },
  async ({ params, env }) => toFileIndex(await askForIndex(env, params.backup_id)),
)
