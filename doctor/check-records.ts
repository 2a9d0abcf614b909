/** The database alone: what its rows say must fit together. */
import { isActive } from '../contract/api/backups.ts'
import type { Database } from '../db/database.ts'
import type { JobWithDisks } from '../db/queries/backups.ts'
import { nbdPortAllocations } from '../db/schema/index.ts'
import type { Finding } from './finding.ts'

/** Clocks of two processes on one machine. */
const clockSlackMs = 5_000

/** @param backups all there are */
export const checkRecords = async (db: Database, backups: readonly JobWithDisks[], now: Date): Promise<Finding[]> => {
  const byId = new Map(backups.map((backup) => [backup.job.id, backup]))
  const findings = backups.flatMap((backup) => [
    ...checkState(backup),
    ...checkParent(backup, byId),
    ...checkTimes(backup, now),
  ])
  for (const { port, jobId } of await db.orm.select().from(nbdPortAllocations)) {
    const job = byId.get(jobId)?.job
    if (job && !isActive(job.status) && !job.cleanupPending)
      findings.push({
        invariant: 'I11',
        subject: `port ${port}`,
        problem: `is still held by ${jobId}, which has ended`,
      })
  }
  return findings
}

const checkState = ({ job, disks }: JobWithDisks): Finding[] => {
  const say = (problem: string): Finding => ({ invariant: 'I16', subject: job.id, problem })
  const open = disks.filter(({ status }) => status !== 'completed')
  return [
    ...(job.status === 'completed' && open.length > 0
      ? [say(`is completed, but disk ${open.map(({ diskIndex }) => diskIndex).join(', ')} is not`)]
      : []),
    ...(disks.length === 0 ? [say('has no disks')] : []),
    ...(isActive(job.status) !== (job.activeSlot !== null)
      ? [say(`is ${job.status}, but ${job.activeSlot === null ? 'does not hold' : 'still holds'} the VM's slot`)]
      : []),
    ...disks
      .filter(({ status, diskChangeId }) => status !== 'completed' && diskChangeId !== null)
      .map(({ diskIndex }): Finding => {
        const problem = `disk ${diskIndex} has a change id, but is not completed`
        return { invariant: 'I4', subject: job.id, problem }
      }),
  ]
}

const checkParent = ({ job }: JobWithDisks, byId: ReadonlyMap<string, JobWithDisks>): Finding[] => {
  if (job.status !== 'completed' && !isActive(job.status)) return []
  const say = (problem: string): Finding[] => [{ invariant: 'I3', subject: job.id, problem }]
  if (job.backupType === 'full') return job.parentBackupId === null ? [] : say('is a full, but has a parent')
  const parent = job.parentBackupId === null ? undefined : byId.get(job.parentBackupId)
  if (!parent) return say('is an incremental without its parent')
  if (parent.job.status !== 'completed') return say(`builds on ${parent.job.id}, which is ${parent.job.status}`)
  if (parent.job.verifyState === 'damaged' && job.verifyState !== 'damaged')
    return say(`builds on ${parent.job.id}, which is damaged, and does not say so`)
  return []
}

const checkTimes = ({ job }: JobWithDisks, now: Date): Finding[] =>
  (['createdAt', 'startedAt', 'completedAt', 'verifiedAt'] as const)
    .filter((name) => (job[name]?.getTime() ?? 0) > now.getTime() + clockSlackMs)
    .map((name) => ({ invariant: 'I16', subject: job.id, problem: `${name} lies in the future` }))
