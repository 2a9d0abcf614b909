/** POST /repositories: tests and saves a repository. */
import { randomUUID } from 'node:crypto'
import { createRepositoryAnswer, createRepositoryBody } from '../../contract/api/repositories.ts'
import { HubError } from '../../contract/errors.ts'
import {
  deleteRepository,
  findRepository,
  insertRepository,
  toRepository,
  toStorage,
} from '../../db/queries/repositories.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { placeOf, refuseOverlap, storedConfig } from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'Add a repository',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    body: createRepositoryBody,
    responses: { 201: createRepositoryAnswer },
    errors: ['UNSUPPORTED_REPOSITORY_TYPE', 'REPOSITORY_TEST_FAILED', 'NAME_TAKEN'],
  },
  async ({ body, env: { DB, AGENT, CLOCK, KEYS } }) => {
    const id = `repo-${randomUUID()}`
    const place = placeOf(body.type, id, body.config)
    if (body.is_immutable && body.min_retention_days < 1)
      throw new HubError('VALIDATION_FAILED', 'The request is not valid', {
        fields: [{ field: 'min_retention_days', message: 'must be at least 1 when immutable', code: 'RANGE' }],
      })
    await refuseOverlap({ DB }, place)
    await AGENT.testRepository(place, body.is_immutable)
    // The row first: it makes the name ours. Without a folder that the agent accepts, it goes again.
    await withFreeName(body.name, () =>
      insertRepository(DB.orm, {
        id,
        name: body.name,
        repositoryType: body.type,
        enabled: body.enabled,
        config: storedConfig(KEYS, place, body.config),
        isImmutable: body.is_immutable,
        immutableConfig: body.immutable_config ?? null,
        minRetentionDays: body.min_retention_days,
      }),
    )
    const measured = await AGENT.ensureRepository(id, place).catch(async (error: unknown) => {
      await deleteRepository(DB.orm, id)
      throw error
    })
    const repository = toRepository((await findRepository(DB.orm, id))!, toStorage(id, measured, 0, CLOCK.now()), 0)
    return answer(201, { ...repository, success: true, repository, repository_id: id })
  },
)
