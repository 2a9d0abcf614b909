/** PUT /policies/{id}: changes the sent fields; `copy_rules` replaces all rules. */
import { policy, policyParams, updatePolicyBody } from '../../contract/api/policies.ts'
import { rulesOf, updatePolicy } from '../../db/queries/policies.ts'
import { defineFunction } from '../../runtime/function.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { checkRepositories, existingPolicy, shownPolicy, writeRules } from '../../workflows/policies.ts'

export default defineFunction(
  {
    summary: 'Change a policy',
    needs: ['DB'],
    params: policyParams,
    body: updatePolicyBody,
    responses: { 200: policy },
    errors: ['POLICY_NOT_FOUND', 'NAME_TAKEN', 'UNKNOWN_REPOSITORY'],
  },
  async ({ params, body, env: { DB } }) => {
    const before = await existingPolicy(DB.orm, params.id)
    const rules =
      body.copy_rules ??
      (await rulesOf(DB.orm, [before.id])).map(({ destinationRepositoryId }) => ({
        destination_repository_id: destinationRepositoryId,
      }))
    await checkRepositories(DB.orm, body.primary_repository_id ?? before.primaryRepositoryId, rules)
    await withFreeName(body.name, () =>
      DB.transaction(async (tx) => {
        await updatePolicy(tx, before.id, {
          name: body.name,
          enabled: body.enabled,
          primaryRepositoryId: body.primary_repository_id,
          retentionDays: body.retention_days,
          keep: body.keep,
          indexFiles: body.index_files,
          indexDigests: body.index_digests,
        })
        if (body.copy_rules) await writeRules(tx, before.id, body.copy_rules)
      }),
    )
    return shownPolicy(DB.orm, before.id)
  },
)
