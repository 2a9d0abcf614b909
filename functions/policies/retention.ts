/** GET /policies/{id}/retention: what the policy would delete now, as it is or as it is supposed to be, and why it keeps all else. Deletes nothing. */
import { policyParams, retentionAnswer, retentionQuery } from '../../contract/api/policies.ts'
import { contextsUnderPolicy } from '../../db/queries/policies.ts'
import { defineFunction } from '../../runtime/function.ts'
import { planRetention } from '../../workflows/plan-retention.ts'
import { existingPolicy, supposedPolicy } from '../../workflows/policies.ts'

export default defineFunction(
  {
    summary: 'Dry run of retention',
    needs: ['DB', 'CLOCK'],
    params: policyParams,
    query: retentionQuery,
    responses: { 200: retentionAnswer },
    errors: ['POLICY_NOT_FOUND'],
  },
  async ({ params, query, env }) => {
    const policy = supposedPolicy(await existingPolicy(env.DB.orm, params.id), query)
    const points = []
    for (const contextId of await contextsUnderPolicy(env.DB.orm, policy.id))
      for (const chain of await planRetention(env, contextId, policy))
        if (chain.policy?.id === policy.id)
          for (const { backup, action, reasons } of chain.points)
            points.push({
              backup_id: backup.job.id,
              vm_name: backup.job.vmName,
              backup_type: backup.job.backupType,
              completed_at: backup.job.completedAt?.toISOString() ?? null,
              size_bytes: backup.disks.reduce((total, { storedBytes }) => total + storedBytes, 0),
              action,
              reasons,
            })
    const kept = points.filter(({ action }) => action === 'keep')
    const deleted = points.filter(({ action }) => action === 'delete')
    return {
      policy_id: policy.id,
      points,
      keep_count: kept.length,
      delete_count: points.length - kept.length,
      freed_bytes: deleted.reduce((total, { size_bytes }) => total + size_bytes, 0),
    }
  },
)
