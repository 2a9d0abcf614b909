/** Takes away what a policy no longer wants (contract section 8.5): points that nothing builds on are deleted, others merged into the next. */
import { HubError } from '../contract/errors.ts'
import { insertAudit } from '../db/queries/audit.ts'
import { contextsDueForRetention, findBackupContextById, noteRetentionDone } from '../db/queries/backup-contexts.ts'
import { isContextCopied, markMerging } from '../db/queries/merges.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { deleteBackup } from './delete-backup.ts'
import { withChainLock } from './locks.ts'
import { checkMerge } from './merge-backups.ts'
import { type PlannedChain, type PlannedPoint, planRetention } from './plan-retention.ts'

type RetentionEnv = Env<'DB' | 'AGENT' | 'CLOCK'>

/** Running on it, protected, damaged or gone already: the next day looks again. */
const isForAnotherDay = (error: unknown) => error instanceof HubError && error.status < 500

/** @returns ids of what was deleted; what is merged goes later, bit by bit */
export const applyRetention = async (env: RetentionEnv, vmBackupContextId: string): Promise<string[]> => {
  const seen = await findBackupContextById(env.DB.orm, vmBackupContextId)
  const deleted: string[] = []
  for (const chain of await planRetention(env, vmBackupContextId)) deleted.push(...(await deleteUnneeded(env, chain)))
  // What a copy keeps from beginning is looked at again.
  const hasBegun = await beginMerges(env, vmBackupContextId)
  if (hasBegun && seen?.retentionDue) await noteRetentionDone(env.DB.orm, seen)
  return deleted
}

/** Each by itself: a repository that does not answer keeps no other from its turn. @throws the first error, after all were tried */
export const applyToAll = async (env: RetentionEnv, vmBackupContextIds: readonly string[]): Promise<void> => {
  const failures: unknown[] = []
  for (const id of vmBackupContextIds) await applyRetention(env, id).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/** What a hub that died after the end of a backup has left to do. */
export const applyDueRetention = async (env: RetentionEnv): Promise<void> => {
  await applyToAll(env, await contextsDueForRetention(env.DB.orm))
}

const deleteUnneeded = async (env: RetentionEnv, { points, policy }: PlannedChain): Promise<string[]> => {
  const { DB, CLOCK } = env
  const oldest = points.find(({ action }) => action === 'delete')
  if (!oldest) return []
  const { id } = oldest.backup.job
  try {
    const { deletedIds } = await deleteBackup(env, id, true)
    await insertAudit(DB.orm, {
      at: CLOCK.now(),
      actorKind: 'system',
      action: 'retention',
      method: 'DELETE',
      path: `/backups/${id}`,
      status: 200,
      details: { deleted: deletedIds, policy: policy?.name ?? null },
    })
    return deletedIds
  } catch (error) {
    if (!isForAnotherDay(error)) throw error
    return []
  }
}

/**
 * Under the chain's lock, so that nobody has just chosen such a point to restore, copy or protect.
 * @returns false when a copy is under way
 */
const beginMerges = (env: RetentionEnv, vmBackupContextId: string): Promise<boolean> =>
  withChainLock(env.DB, vmBackupContextId, async () => {
    // What goes is written to, and must not be read by a copy.
    if (await isContextCopied(env.DB.orm, vmBackupContextId)) return false
    for (const { points } of await planRetention(env, vmBackupContextId))
      for (const point of points)
        if (point.action === 'merge')
          await beginMerge(env, points, point).catch((error: unknown) => {
            if (!isForAnotherDay(error)) throw error
          })
    return true
  })

const beginMerge = async (env: RetentionEnv, points: readonly PlannedPoint[], { backup: going }: PlannedPoint) => {
  const into = points.find(({ backup }) => backup.job.parentBackupId === going.job.id)
  if (!into) return
  await checkMerge(env, going, into.backup)
  await markMerging(env.DB.orm, going.job.id, into.backup.job.id)
}
