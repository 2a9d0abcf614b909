/** GET /repositories: all repositories with their storage; one that is offline is listed without. */
import { page } from '../../contract/api/common.ts'
import { listRepositoriesQuery, repositoriesAnswer } from '../../contract/api/repositories.ts'
import { backupCounts, listRepositories, toRepository } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { measureOrNull } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'List repositories',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    query: listRepositoriesQuery,
    responses: { 200: repositoriesAnswer },
  },
  async ({ query, env }) => {
    const { shown, ...counted } = page(await listRepositories(env.DB.orm, query), query)
    const backups = await backupCounts(
      env.DB.orm,
      shown.map(({ id }) => id),
    )
    const repositories = await Promise.all(
      shown.map(async (row) => {
        const count = backups.get(row.id) ?? 0
        return toRepository(row, await measureOrNull(env, row, count), count)
      }),
    )
    return { success: true, repositories, ...counted }
  },
)
