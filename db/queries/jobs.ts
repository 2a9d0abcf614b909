/** Jobs of every kind of one VM, and the counts of failover jobs. */
import { count, desc, eq } from 'drizzle-orm'
import type { RecentJob } from '../../contract/api/vm-contexts.ts'
import type { Executor } from '../database.ts'
import { backupJobs, cbtHistory, failoverJobs, jobTracking, replicationJobs } from '../schema/index.ts'
import { iso } from './vms.ts'

/** As many as the contract shows of each history. */
const newestMax = 20

const seconds = (from: Date | null, to: Date | null) =>
  from && to ? Math.max(0, Math.round((to.getTime() - from.getTime()) / 1000)) : null

/** What an admin can do about a failed backup, from what failed. */
const adviceFor = (message: string | null): { category: string | null; steps: string[] } => {
  if (message === null) return { category: null, steps: [] }
  if (/no telemetry/i.test(message))
    return {
      category: 'connection',
      steps: ['Check that the source node runs and that its tunnel is up', 'Start the backup again'],
    }
  if (/INSUFFICIENT_STORAGE|space|ENOSPC|full/i.test(message))
    return {
      category: 'storage',
      steps: ['Free room in the repository or delete old backups', 'Start the backup again'],
    }
  if (/host-agent|qemu-nbd|export|interrupted/i.test(message))
    return {
      category: 'hub',
      steps: ['Start the backup again', 'If it fails again, look at the log of the host-agent'],
    }
  return { category: 'source', steps: ['Read the message; it comes from the source node', 'Start the backup again'] }
}

/** The newest jobs of a VM, newest first. */
export const recentJobs = async (db: Executor, contextId: string): Promise<RecentJob[]> => {
  const backups = await db
    .select()
    .from(backupJobs)
    .where(eq(backupJobs.vmContextId, contextId))
    .orderBy(desc(backupJobs.createdAt))
    .limit(newestMax)
  const replications = await db
    .select()
    .from(replicationJobs)
    .where(eq(replicationJobs.vmContextId, contextId))
    .orderBy(desc(replicationJobs.createdAt))
    .limit(newestMax)
  const tracked = await db
    .select()
    .from(jobTracking)
    .where(eq(jobTracking.contextId, contextId))
    .orderBy(desc(jobTracking.createdAt))
    .limit(newestMax)
  const found: { at: Date; job: RecentJob }[] = []
  for (const row of backups) {
    const { category, steps } = adviceFor(row.errorMessage)
    found.push({
      at: row.createdAt,
      job: {
        job_id: row.id,
        external_job_id: null,
        job_type: 'backup',
        status: row.status,
        progress: row.progressPercent,
        started_at: iso(row.startedAt),
        completed_at: iso(row.completedAt),
        display_name: `${row.backupType === 'full' ? 'Full' : 'Incremental'} backup of ${row.vmName}`,
        current_step: row.currentPhase,
        error_message: row.errorMessage,
        error_category: category,
        actionable_steps: steps,
        data_source: 'backup_jobs',
        duration_seconds: seconds(row.startedAt, row.completedAt),
      },
    })
  }
  for (const row of replications)
    found.push({
      at: row.createdAt,
      job: {
        job_id: row.id,
        external_job_id: null,
        job_type: 'replication',
        status: row.status,
        progress: row.progressPercent,
        started_at: iso(row.startedAt),
        completed_at: iso(row.completedAt),
        display_name: `Replication of ${row.sourceVmName}`,
        current_step: row.currentOperation,
        error_message: row.errorMessage,
        error_category: row.vmaErrorClassification,
        actionable_steps: [],
        data_source: 'replication_jobs',
        duration_seconds: seconds(row.startedAt, row.completedAt),
      },
    })
  for (const row of tracked)
    found.push({
      at: row.createdAt,
      job: {
        job_id: row.id,
        external_job_id: row.externalJobId,
        job_type: row.jobType.includes('rollback')
          ? 'rollback'
          : row.jobType.includes('live')
            ? 'live_failover'
            : 'test_failover',
        status: row.status,
        progress: row.percentComplete,
        started_at: iso(row.startedAt),
        completed_at: iso(row.completedAt),
        display_name: row.operation,
        current_step: null,
        error_message: row.errorMessage,
        error_category: null,
        actionable_steps: [],
        data_source: 'job_tracking',
        duration_seconds: seconds(row.startedAt, row.completedAt),
      },
    })
  return found
    .sort((a, b) => b.at.getTime() - a.at.getTime())
    .slice(0, newestMax)
    .map(({ job }) => job)
}

const snake = (row: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value instanceof Date ? value.toISOString() : value,
    ]),
  )

/** Replication jobs of a VM with the columns of the contract's table, newest first. */
export const replicationHistory = async (db: Executor, contextId: string) =>
  (
    await db
      .select()
      .from(replicationJobs)
      .where(eq(replicationJobs.vmContextId, contextId))
      .orderBy(desc(replicationJobs.createdAt))
      .limit(newestMax)
  ).map(snake)
export const findReplication = async (db: Executor, id: string) => {
  const [row] = await db.select().from(replicationJobs).where(eq(replicationJobs.id, id))
  return row ? snake(row) : null
}
export const changeHistory = async (db: Executor, contextId: string) =>
  (
    await db
      .select()
      .from(cbtHistory)
      .where(eq(cbtHistory.vmContextId, contextId))
      .orderBy(desc(cbtHistory.createdAt))
      .limit(newestMax)
  ).map(snake)

const failoverEnded = new Set(['completed', 'failed', 'cancelled', 'rolled_back'])
export const failoverCounts = async (db: Executor) => {
  const rows = await db
    .select({ type: failoverJobs.jobType, status: failoverJobs.status, jobs: count() })
    .from(failoverJobs)
    .groupBy(failoverJobs.jobType, failoverJobs.status)
  const total = (wanted: (row: (typeof rows)[number]) => boolean) =>
    rows.filter(wanted).reduce((all, { jobs }) => all + jobs, 0)
  return {
    total_jobs: total(() => true),
    active_jobs: total(({ status }) => !failoverEnded.has(status)),
    completed_jobs: total(({ status }) => status === 'completed'),
    failed_jobs: total(({ status }) => status === 'failed'),
    job_types: {
      live_failovers: total(({ type }) => type === 'live'),
      test_failovers: total(({ type }) => type === 'test'),
    },
  }
}
