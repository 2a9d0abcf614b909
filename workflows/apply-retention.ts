/** Deletes chains that a policy no longer wants (contract section 8.5). */
import { HubError } from '../contract/errors.ts'
import { insertAudit } from '../db/queries/audit.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { deleteBackup } from './delete-backup.ts'
import { planRetention } from './plan-retention.ts'

/** @returns ids of what was deleted */
export const applyRetention = async (
  env: Env<'DB' | 'AGENT' | 'CLOCK'>,
  vmBackupContextId: string,
): Promise<string[]> => {
  const { DB, CLOCK } = env
  const deleted: string[] = []
  for (const { points, policy, action } of await planRetention(env, vmBackupContextId)) {
    if (action === 'keep') continue
    const { id } = points[0]!.backup.job
    try {
      const { deletedIds } = await deleteBackup(env, id, true)
      deleted.push(...deletedIds)
      await insertAudit(DB.orm, {
        at: CLOCK.now(),
        actorKind: 'system',
        action: 'retention',
        method: 'DELETE',
        path: `/backups/${id}`,
        status: 200,
        details: { deleted: deletedIds, policy: policy?.name ?? null },
      })
    } catch (error) {
      // Running on it, protected, or gone already: the next day looks again.
      if (!(error instanceof HubError) || error.status >= 500) throw error
    }
  }
  return deleted
}
