/** GET /repositories/{id}: one repository. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { repository } from '../../contract/api/repositories.ts'
import { backupCounts, toRepository } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRepository } from '../../workflows/existing-repository.ts'
import { measureOrNull } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'One repository',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    params: z.object({ id }),
    responses: { 200: repository },
    errors: ['REPOSITORY_NOT_FOUND'],
  },
  async ({ params, env }) => {
    const row = await existingRepository(env.DB.orm, params.id)
    const count = (await backupCounts(env.DB.orm, [row.id])).get(row.id) ?? 0
    return toRepository(row, await measureOrNull(env, row, count), count)
  },
)
