/** POST /policies: how long restore points of a repository are kept, and where copies of them go. */
import { randomUUID } from 'node:crypto'
import { createPolicyBody, policy } from '../../contract/api/policies.ts'
import { insertPolicy } from '../../db/queries/policies.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { checkRepositories, shownPolicy, writeRules } from '../../workflows/policies.ts'

export default defineFunction(
  {
    summary: 'Create a policy',
    needs: ['DB'],
    body: createPolicyBody,
    responses: { 201: policy },
    errors: ['NAME_TAKEN', 'UNKNOWN_REPOSITORY'],
  },
  async ({ body, env: { DB } }) => {
    await checkRepositories(DB.orm, body.primary_repository_id, body.copy_rules)
    const id = randomUUID()
    await withFreeName(body.name, () =>
      DB.transaction(async (tx) => {
        await insertPolicy(tx, {
          id,
          name: body.name,
          enabled: body.enabled,
          primaryRepositoryId: body.primary_repository_id,
          retentionDays: body.retention_days,
          keep: body.keep ?? null,
          indexFiles: body.index_files,
          indexDigests: body.index_digests,
        })
        await writeRules(tx, id, body.copy_rules)
      }),
    )
    return answer(201, await shownPolicy(DB.orm, id))
  },
)
