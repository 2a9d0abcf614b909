/** Deletes chains that a policy no longer wants (contract section 8.5). */
import { HubError } from '../contract/errors.ts'
import { insertAudit } from '../db/queries/audit.ts'
import type { JobWithDisks } from '../db/queries/backups.ts'
import { completedBackups } from '../db/queries/chains.ts'
import { findPolicy } from '../db/queries/policies.ts'
import { findRepository } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { deleteBackup } from './delete-backup.ts'

const dayMs = 24 * 3600 * 1000

/** Fulls with everything built on them, oldest first. */
const chains = (completed: JobWithDisks[]): JobWithDisks[][] => {
  const found: JobWithDisks[][] = []
  for (const backup of completed) {
    if (backup.job.backupType === 'full') found.push([backup])
    else found.find((chain) => chain.some(({ job }) => job.id === backup.job.parentBackupId))?.push(backup)
  }
  return found
}

/** @returns ids of what was deleted */
export const applyRetention = async (
  env: Env<'DB' | 'AGENT' | 'CLOCK'>,
  vmBackupContextId: string,
): Promise<string[]> => {
  const { DB, CLOCK } = env
  const all = chains(await completedBackups(DB.orm, vmBackupContextId))
  const deleted: string[] = []
  // The newest chain is never touched: a newer full must exist.
  for (const chain of all.slice(0, -1)) {
    const newest = chain.at(-1)!.job
    const policy = newest.policyId === null ? undefined : await findPolicy(DB.orm, newest.policyId)
    if (!policy?.enabled || policy.retentionDays <= 0) continue
    const repository = await findRepository(DB.orm, newest.repositoryId)
    const days = Math.max(policy.retentionDays, repository?.isImmutable ? repository.minRetentionDays : 0)
    const oldest = CLOCK.now().getTime() - days * dayMs
    if (chain.some(({ job }) => (job.completedAt?.getTime() ?? Number.POSITIVE_INFINITY) >= oldest)) continue
    try {
      const { deletedIds } = await deleteBackup(env, chain[0]!.job.id, true)
      deleted.push(...deletedIds)
      await insertAudit(DB.orm, {
        at: CLOCK.now(),
        actorKind: 'system',
        action: 'retention',
        method: 'DELETE',
        path: `/backups/${chain[0]!.job.id}`,
        status: 200,
        details: { deleted: deletedIds, policy: policy.name },
      })
    } catch (error) {
      // Running on it, protected, or gone already: the next day looks again.
      if (!(error instanceof HubError) || error.status >= 500) throw error
    }
  }
  return deleted
}
