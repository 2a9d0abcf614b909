/** GET /backups/stats: how many backups of a VM a repository holds, and how large they are. */
import { statsAnswer, statsQuery } from '../../contract/api/backups.ts'
import { backupStats } from '../../db/queries/backups.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Figures of a VM in a repository', needs: ['DB'], query: statsQuery, responses: { 200: statsAnswer } },
  ({ query, env: { DB } }) => backupStats(DB.orm, query.vm_name, query.repository_id),
)
