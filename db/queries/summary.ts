/** How a site stands: counts over all of it, and the first few of what needs somebody's attention. */
import { and, asc, count, desc, eq, gte, inArray, sql, sum } from 'drizzle-orm'
import { type BackupStatus, isActive } from '../../contract/api/backups.ts'
import { type Summary, summaryDays } from '../../contract/api/summary.ts'
import type { Executor } from '../database.ts'
import { backupJobs, replicationSchedules, scheduleExecutions, vmReplicationContexts } from '../schema/index.ts'
import { isUnprotected } from './protection.ts'
import { listRepositories } from './repositories.ts'
import { growthPerDay } from './repository-usage.ts'
import { iso, lastBackups } from './vms.ts'

type Runs = { completed: number; failed: number; cancelled: number; active: number }
const none = (): Runs => ({ completed: 0, failed: 0, cancelled: 0, active: 0 })
const add = (runs: Runs, status: BackupStatus, rows: number) => {
  runs[isActive(status) ? 'active' : (status as 'completed' | 'failed' | 'cancelled')] += rows
}

const dayMs = 24 * 3600 * 1000

/** @param offsetMinutes of the viewer's clock: whose days they are */
export const countByDay = async (db: Executor, now: Date, offsetMinutes: number): Promise<Summary['days']> => {
  const local = (at: number) => new Date(at + offsetMinutes * 60_000).toISOString().slice(0, 10)
  const days = new Map<string, Runs>()
  for (let back = summaryDays - 1; back >= 0; back--) days.set(local(now.getTime() - back * dayMs), none())
  const day = sql<string>`date_format(${backupJobs.createdAt} + interval ${offsetMinutes} minute, '%Y-%m-%d')`
  const rows = await db
    .select({ day: day.as('day'), status: backupJobs.status, rows: count() })
    .from(backupJobs)
    .where(gte(backupJobs.createdAt, new Date(now.getTime() - summaryDays * dayMs)))
    .groupBy(sql`day`, backupJobs.status)
  for (const row of rows) {
    const runs = days.get(row.day)
    if (runs) add(runs, row.status, row.rows)
  }
  return [...days].map(([name, runs]) => ({ day: name, ...runs }))
}

export const runsSince = async (db: Executor, since: Date): Promise<Runs> => {
  const runs = none()
  const rows = await db
    .select({ status: backupJobs.status, rows: count() })
    .from(backupJobs)
    .where(gte(backupJobs.createdAt, since))
    .groupBy(backupJobs.status)
  for (const { status, rows: n } of rows) add(runs, status, n)
  return runs
}

/** What backups that began since then have transferred. */
export const bytesSince = async (db: Executor, since: Date): Promise<number> => {
  const [row] = await db
    .select({ bytes: sum(backupJobs.bytesTransferred) })
    .from(backupJobs)
    .where(gte(backupJobs.createdAt, since))
  return Number(row?.bytes ?? 0)
}

/** VMs by their newest backup. @param max how many of those that fail are named, the latest failures first */
export const failingVms = async (db: Executor, max: number) => {
  const vms = await db
    .select({ contextId: vmReplicationContexts.contextId, vmName: vmReplicationContexts.vmName })
    .from(vmReplicationContexts)
  const last = await lastBackups(
    db,
    vms.map(({ contextId }) => contextId),
  )
  const failing = vms
    .flatMap((vm) => {
      const backup = last.get(vm.contextId)
      return backup && (backup.status === 'failed' || backup.status === 'stalled') ? [{ ...vm, backup }] : []
    })
    .toSorted((a, b) => (b.backup.completed_at ?? '~').localeCompare(a.backup.completed_at ?? '~'))
  const shown = failing.slice(0, max)
  const ids = shown.map(({ backup }) => backup.backup_id)
  const messages = new Map(
    ids.length === 0
      ? []
      : (
          await db
            .select({ id: backupJobs.id, message: backupJobs.errorMessage })
            .from(backupJobs)
            .where(inArray(backupJobs.id, ids))
        ).map(({ id, message }) => [id, message] as const),
  )
  return {
    total: vms.length,
    neverBackedUp: vms.filter(({ contextId }) => !last.has(contextId)).length,
    failing: failing.length,
    named: shown.map(({ contextId, vmName, backup }) => ({
      context_id: contextId,
      vm_name: vmName,
      backup_id: backup.backup_id,
      status: backup.status,
      completed_at: backup.completed_at,
      error_message: messages.get(backup.backup_id) ?? null,
    })),
  }
}

export const repositoryRooms = async (db: Executor, now: Date): Promise<Summary['repositories']> => {
  const [rows, growth] = await Promise.all([listRepositories(db, { enabled: true }), growthPerDay(db, now)])
  return rows.map((row) => {
    const perDay = growth.get(row.id) ?? 0
    return {
      id: row.id,
      name: row.name,
      state: row.storageState,
      total_bytes: row.totalSizeBytes,
      used_bytes: row.usedSizeBytes,
      available_bytes: row.availableSizeBytes,
      last_check_at: iso(row.lastCheckAt),
      days_left: perDay > 0 ? Math.round((row.availableSizeBytes / perDay) * 10) / 10 : null,
    }
  })
}

export const unprotectedVms = async (db: Executor, max: number): Promise<Summary['unprotected_vms']> =>
  db
    .select({ context_id: vmReplicationContexts.contextId, vm_name: vmReplicationContexts.vmName })
    .from(vmReplicationContexts)
    .where(isUnprotected)
    .orderBy(asc(vmReplicationContexts.vmName))
    .limit(max)

export const damagedBackups = async (db: Executor, max: number): Promise<Summary['damaged_backups']> =>
  (
    await db
      .select({ id: backupJobs.id, vmName: backupJobs.vmName, verifiedAt: backupJobs.verifiedAt })
      .from(backupJobs)
      .where(eq(backupJobs.verifyState, 'damaged'))
      .orderBy(desc(backupJobs.verifiedAt))
      .limit(max)
  ).map(({ id, vmName, verifiedAt }) => ({ backup_id: id, vm_name: vmName, verified_at: iso(verifiedAt) }))

export const missedRuns = async (db: Executor, since: Date, max: number): Promise<Summary['missed_runs']> =>
  (
    await db
      .select({ run: scheduleExecutions, name: replicationSchedules.name })
      .from(scheduleExecutions)
      .innerJoin(replicationSchedules, eq(replicationSchedules.id, scheduleExecutions.scheduleId))
      .where(and(eq(scheduleExecutions.status, 'skipped'), gte(scheduleExecutions.scheduledAt, since)))
      .orderBy(desc(scheduleExecutions.scheduledAt))
      .limit(max)
  ).map(({ run, name }) => ({
    schedule_id: run.scheduleId,
    schedule_name: name,
    scheduled_at: run.scheduledAt.toISOString(),
    error_message: run.errorMessage,
  }))
