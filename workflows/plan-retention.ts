/** What retention would delete of one VM in one repository, and why all else stays. Looks only. */
import type { JobWithDisks } from '../db/queries/backups.ts'
import { completedBackups } from '../db/queries/chains.ts'
import { findPolicy, type PolicyRow } from '../db/queries/policies.ts'
import { findRepository } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { keptPoints } from './keep-points.ts'

export type PlannedPoint = { backup: JobWithDisks; action: 'keep' | 'delete'; reasons: string[] }
/** A full with everything built on it: it goes as a whole, or not at all. */
export type PlannedChain = { points: PlannedPoint[]; policy: PolicyRow | undefined; action: 'keep' | 'delete' }

const dayMs = 24 * 3600 * 1000

/** Fulls with everything built on them, oldest first. */
const chainsOf = (completed: JobWithDisks[]): JobWithDisks[][] => {
  const found: JobWithDisks[][] = []
  for (const backup of completed) {
    if (backup.job.backupType === 'full') found.push([backup])
    else found.find((chain) => chain.some(({ job }) => job.id === backup.job.parentBackupId))?.push(backup)
  }
  return found
}

/** Whether a policy ever deletes anything. */
const isLimited = ({ enabled, retentionDays, keep }: PolicyRow) =>
  enabled && (retentionDays > 0 || Object.values(keep ?? {}).some((count) => count > 0))

export const planRetention = async (
  { DB, CLOCK }: Env<'DB' | 'CLOCK'>,
  vmBackupContextId: string,
): Promise<PlannedChain[]> => {
  const completed = await completedBackups(DB.orm, vmBackupContextId)
  const chains = chainsOf(completed)
  const now = CLOCK.now().getTime()
  const planned: PlannedChain[] = []
  for (const [at, chain] of chains.entries()) {
    const { policyId, repositoryId } = chain.at(-1)!.job
    const policy = policyId === null ? undefined : await findPolicy(DB.orm, policyId)
    const repository = await findRepository(DB.orm, repositoryId)
    const kept =
      policy?.keep == null
        ? new Map<string, string[]>()
        : keptPoints(
            completed.map(({ job }) => ({ id: job.id, at: job.completedAt ?? job.createdAt })),
            policy.keep,
          )
    const younger = (job: JobWithDisks['job'], days: number) =>
      days > 0 && (job.completedAt === null || job.completedAt.getTime() >= now - days * dayMs)
    const points = chain.map((backup): PlannedPoint => {
      const { job } = backup
      const reasons = [...(kept.get(job.id) ?? [])]
      if (!policy) reasons.push('no policy')
      else if (!isLimited(policy)) reasons.push(`the policy ${policy.name} keeps everything`)
      else if (younger(job, policy.retentionDays)) reasons.push(`younger than ${policy.retentionDays} days`)
      if (repository?.isImmutable && younger(job, repository.minRetentionDays))
        reasons.push(`immutable for ${repository.minRetentionDays} days`)
      if (at === chains.length - 1) reasons.push('the newest chain')
      return { backup, action: reasons.length > 0 ? 'keep' : 'delete', reasons }
    })
    const action = points.every((point) => point.action === 'delete') ? 'delete' : 'keep'
    for (const point of points)
      if (action === 'keep' && point.action === 'delete')
        Object.assign(point, { action, reasons: ['in a chain with points that are kept'] })
    planned.push({ points, policy, action })
  }
  return planned
}
