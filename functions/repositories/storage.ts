/** GET /repositories/{id}/storage: measures now, stores and returns. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { storage } from '../../contract/api/repositories.ts'
import { backupCounts } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRepository } from '../../workflows/existing-repository.ts'
import { measureRepository } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'Measure a repository',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    params: z.object({ id }),
    responses: { 200: storage },
    errors: ['REPOSITORY_NOT_FOUND'],
  },
  async ({ params, env }) => {
    const row = await existingRepository(env.DB.orm, params.id)
    return measureRepository(env, row, (await backupCounts(env.DB.orm, [row.id])).get(row.id) ?? 0)
  },
)
