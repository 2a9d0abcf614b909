/** What retention would take of one VM in one repository, and why all else stays. Looks only. */
import type { JobWithDisks } from '../db/queries/backups.ts'
import { completedBackups } from '../db/queries/chains.ts'
import { findPolicy, type PolicyRow } from '../db/queries/policies.ts'
import { findRepository, type RepositoryRow } from '../db/queries/repositories.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { keptPoints } from './keep-points.ts'

/** `merge`: it goes into the next point, which builds on it. */
export type PlannedPoint = { backup: JobWithDisks; action: 'keep' | 'delete' | 'merge'; reasons: string[] }
/** A full with everything built on it, oldest first. */
export type PlannedChain = { points: PlannedPoint[]; policy: PolicyRow | undefined }

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

type Chain = {
  members: JobWithDisks[]
  policy: PolicyRow | undefined
  repository: RepositoryRow | undefined
  /** Why the policy's counts keep points, by their ids. */
  kept: Map<string, string[]>
  isNewest: boolean
  now: number
}
const isYounger = ({ completedAt }: JobWithDisks['job'], days: number, now: number) =>
  days > 0 && (completedAt === null || completedAt.getTime() >= now - days * dayMs)

/** Why each point must stay, whatever becomes of the others. */
const ownReasons = ({ members, policy, repository, kept, isNewest, now }: Chain): string[][] =>
  members.map(({ job }, at) => {
    const reasons = [...(kept.get(job.id) ?? [])]
    if (!policy) reasons.push('no policy')
    else if (!isLimited(policy)) reasons.push(`the policy ${policy.name} keeps everything`)
    else if (isYounger(job, policy.retentionDays, now)) reasons.push(`younger than ${policy.retentionDays} days`)
    if (repository?.isImmutable && isYounger(job, repository.minRetentionDays, now))
      reasons.push(`immutable for ${repository.minRetentionDays} days`)
    if (job.isProtected) reasons.push('protected')
    if (isNewest && at === members.length - 1) reasons.push('the newest restore point')
    return reasons
  })

/** By days alone a chain goes as a whole, or not at all (contract section 8.5). */
const planByDays = (chain: Chain): PlannedPoint[] => {
  const reasons = ownReasons(chain)
  if (chain.isNewest) for (const of of reasons) of.push('the newest chain')
  const isNeeded = reasons.some((of) => of.length > 0)
  return chain.members.map((backup, at) => {
    const own = reasons[at]!
    if (isNeeded && own.length === 0) own.push('in a chain with points that are kept')
    return { backup, action: isNeeded ? 'keep' : 'delete', reasons: own }
  })
}

/** What keeps a point from going into the next one, although no rule keeps it. */
const whyNotMerged = (
  { repository, now }: Chain,
  { job }: JobWithDisks,
  next: JobWithDisks,
  children: number,
): string[] => [
  ...(job.verifyState === 'damaged' || next.job.verifyState === 'damaged' ? ['damaged: it can not be merged'] : []),
  ...(repository?.isImmutable && isYounger(next.job, repository.minRetentionDays, now)
    ? ['the next restore point is immutable']
    : []),
  ...(children > 1 ? ['several restore points build on it'] : []),
]

/** By counts exactly the points that are named stay: what is newer than all of them goes, what is older is merged. */
const planByCounts = (chain: Chain): PlannedPoint[] => {
  const { members } = chain
  const reasons = ownReasons(chain)
  const childrenOf = ({ job }: JobWithDisks) => members.filter((other) => other.job.parentBackupId === job.id)
  // From the newest on: whether anything that stays builds on a point is known then.
  const needed = new Set<string>()
  const planned: PlannedPoint[] = []
  for (const [at, backup] of [...members.entries()].toReversed()) {
    const own = reasons[at]!
    const children = childrenOf(backup)
    const isNeeded = children.some(({ job }) => needed.has(job.id))
    if (own.length === 0 && isNeeded) own.push(...whyNotMerged(chain, backup, children[0]!, children.length))
    const action = own.length > 0 ? 'keep' : isNeeded ? 'merge' : 'delete'
    if (action !== 'delete') needed.add(backup.job.id)
    planned.unshift({ backup, action, reasons: own })
  }
  return planned
}

/** @param supposed a policy that is taken instead of the one with its id */
export const planRetention = async (
  { DB, CLOCK }: Env<'DB' | 'CLOCK'>,
  vmBackupContextId: string,
  supposed?: PolicyRow,
): Promise<PlannedChain[]> => {
  const completed = await completedBackups(DB.orm, vmBackupContextId)
  const points = completed.filter(({ job }) => job.mergingInto === null)
  const chains = chainsOf(completed)
  const planned: PlannedChain[] = []
  for (const [at, all] of chains.entries()) {
    const members = all.filter(({ job }) => job.mergingInto === null)
    const newest = members.at(-1)
    if (!newest) continue
    const { policyId, repositoryId } = newest.job
    const policy =
      policyId === null ? undefined : policyId === supposed?.id ? supposed : await findPolicy(DB.orm, policyId)
    const chain: Chain = {
      members,
      policy,
      repository: await findRepository(DB.orm, repositoryId),
      kept:
        policy?.keep == null
          ? new Map()
          : keptPoints(
              points.map(({ job }) => ({ id: job.id, at: job.completedAt ?? job.createdAt })),
              policy.keep,
            ),
      isNewest: at === chains.length - 1,
      now: CLOCK.now().getTime(),
    }
    planned.push({ policy, points: policy?.keep == null ? planByDays(chain) : planByCounts(chain) })
  }
  return planned
}
