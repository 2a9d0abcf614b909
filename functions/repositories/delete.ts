/** DELETE /repositories/{id}: forgets a repository; files are not touched. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { deleteRepositoryAnswer, deleteRepositoryQuery } from '../../contract/api/repositories.ts'
import { HubError } from '../../contract/errors.ts'
import { deleteContextsOf } from '../../db/queries/backup-contexts.ts'
import { forgetCopiesIn } from '../../db/queries/copies.ts'
import { backupCounts, deleteRepository, usersOfRepository } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRepository } from '../../workflows/existing-repository.ts'

export default defineFunction(
  {
    summary: 'Forget a repository',
    needs: ['DB', 'AGENT'],
    params: z.object({ id }),
    query: deleteRepositoryQuery,
    responses: { 200: deleteRepositoryAnswer },
    errors: ['REPOSITORY_NOT_FOUND', 'REPOSITORY_HAS_BACKUPS', 'REPOSITORY_IN_USE', 'COPY_RUNNING'],
  },
  async ({ params, query, env: { DB, AGENT } }) => {
    await DB.transaction(async (tx) => {
      const row = await existingRepository(tx, params.id)
      if (query.forget_copies && (await forgetCopiesIn(tx, row.id)) > 0)
        throw new HubError('COPY_RUNNING', 'Copies are being written into the repository', {
          details: 'they end by themselves, or fail when the storage does not answer',
        })
      const backup_count = (await backupCounts(tx, [row.id])).get(row.id) ?? 0
      if (backup_count > 0)
        throw new HubError('REPOSITORY_HAS_BACKUPS', 'The repository holds backups', {
          details: 'delete them first',
          extra: { backup_count },
        })
      const { policies, flows } = await usersOfRepository(tx, row.id)
      if (policies.length + flows.length > 0)
        throw new HubError('REPOSITORY_IN_USE', 'The repository is in use', { extra: { policies, flows } })
      await deleteContextsOf(tx, row.id)
      await deleteRepository(tx, row.id)
    })
    await AGENT.forgetRepository(params.id)
    return { success: true, message: 'repository forgotten; its files were not touched', id: params.id }
  },
)
