/** GET /files/history: every version of a file that restore points of a VM have. */
import { historyAnswer, historyQuery } from '../../contract/api/files.ts'
import { defineFunction } from '../../runtime/function.ts'
import { fileHistory } from '../../workflows/find-files.ts'

export default defineFunction(
  {
    summary: 'Versions of a file',
    needs: ['DB'],
    query: historyQuery,
    responses: { 200: historyAnswer },
    errors: ['PATH_INVALID'],
  },
  ({ query, env }) => fileHistory(env, query),
)
