/** PATCH /repositories/{id}: changes a repository; a changed place is tested first. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { updateRepositoryAnswer, updateRepositoryBody } from '../../contract/api/repositories.ts'
import { type FieldError, HubError } from '../../contract/errors.ts'
import { backupCounts, toRepository, updateRepository } from '../../db/queries/repositories.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingRepository } from '../../workflows/existing-repository.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import {
  changedConfig,
  isElsewhere,
  measureOrNull,
  openConfig,
  placeOf,
  placeOfRow,
  refuseOverlap,
  storedConfig,
} from '../../workflows/repositories.ts'

export default defineFunction(
  {
    summary: 'Change a repository',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    params: z.object({ id }),
    body: updateRepositoryBody,
    responses: { 200: updateRepositoryAnswer },
    errors: ['REPOSITORY_NOT_FOUND', 'REPOSITORY_TEST_FAILED', 'NAME_TAKEN'],
  },
  async ({ params, body, env }) => {
    const { DB, AGENT, KEYS } = env
    const before = await existingRepository(DB.orm, params.id)
    const backups = (await backupCounts(DB.orm, [before.id])).get(before.id) ?? 0
    const config = body.config && changedConfig(openConfig(KEYS, before), body.config)
    const place = config && placeOf(before.repositoryType, before.id, config)
    const moved = place !== undefined && isElsewhere(place, placeOfRow(KEYS, before))
    const fields: FieldError[] = []
    if (body.type !== undefined && body.type !== before.repositoryType)
      fields.push({ field: 'type', message: 'can not be changed', code: 'FORBIDDEN' })
    if (moved && backups > 0)
      fields.push({ field: 'config.path', message: 'can not be changed while there are backups', code: 'FORBIDDEN' })
    if (
      before.isImmutable &&
      body.min_retention_days !== undefined &&
      body.min_retention_days < before.minRetentionDays
    )
      fields.push({
        field: 'min_retention_days',
        message: 'can only grow while the repository is immutable',
        code: 'RANGE',
      })
    if (fields.length > 0) throw new HubError('VALIDATION_FAILED', 'The request is not valid', { fields })

    if (place !== undefined) {
      await refuseOverlap({ DB }, place, before.id)
      await AGENT.testRepository(place)
    }
    await withFreeName(body.name, () =>
      updateRepository(DB.orm, before.id, {
        name: body.name,
        enabled: body.enabled,
        minRetentionDays: body.min_retention_days,
        config: config && storedConfig(KEYS, place!, config),
      }),
    )
    if (place !== undefined) await AGENT.ensureRepository(before.id, place)
    const after = await existingRepository(DB.orm, before.id)
    return {
      success: true,
      message: 'repository changed',
      repository: toRepository(after, await measureOrNull(env, after, backups), backups),
    }
  },
)
