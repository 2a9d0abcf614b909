/** POST /repositories/refresh-storage: measures all repositories. */
import { refreshStorageAnswer } from '../../contract/api/repositories.ts'
import { backupCounts, listRepositories } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { measureOrNull } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'Measure all repositories',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    responses: { 200: refreshStorageAnswer },
  },
  async ({ env }) => {
    const rows = await listRepositories(env.DB.orm)
    const backups = await backupCounts(
      env.DB.orm,
      rows.map(({ id }) => id),
    )
    const measured = await Promise.all(rows.map((row) => measureOrNull(env, row, backups.get(row.id) ?? 0)))
    const failed = measured.filter((storage) => storage === null).length
    return {
      success: true,
      message: `${rows.length - failed} measured, ${failed} not reachable`,
      refreshed_count: rows.length - failed,
      failed_count: failed,
    }
  },
)
