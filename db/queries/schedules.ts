/** Schedules and their runs. */
import { and, asc, count, desc, eq, inArray, isNotNull, lte, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { schedule, scheduleExecution } from '../../contract/api/schedules.ts'
import type { Executor } from '../database.ts'
import { protectionFlows, replicationSchedules, scheduleExecutions, vmMachineGroups } from '../schema/index.ts'
import { iso } from './vms.ts'

export type ScheduleRow = typeof replicationSchedules.$inferSelect
export type ScheduleRunRow = typeof scheduleExecutions.$inferSelect

export const toSchedule = (row: ScheduleRow): z.infer<typeof schedule> => ({
  id: row.id,
  name: row.name,
  description: row.description,
  cron_expression: row.cronExpression,
  timezone: row.timezone,
  skip_if_running: row.skipIfRunning,
  max_concurrent_jobs: row.maxConcurrentJobs,
  replication_type: row.replicationType,
  retry_attempts: row.retryAttempts,
  retry_delay_minutes: row.retryDelayMinutes,
  enabled: row.enabled,
  schedule_type: row.scheduleType,
  chain_parent_schedule_id: row.chainParentScheduleId,
  chain_delay_minutes: row.chainDelayMinutes,
  next_execution: iso(row.nextExecutionAt),
  last_execution: iso(row.lastExecutionAt),
  created_by: row.createdBy,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
})

/** By name. */
export const listSchedules = (db: Executor): Promise<ScheduleRow[]> =>
  db.select().from(replicationSchedules).orderBy(asc(replicationSchedules.name))
export const findSchedule = async (db: Executor, id: string): Promise<ScheduleRow | undefined> =>
  (await db.select().from(replicationSchedules).where(eq(replicationSchedules.id, id)))[0]
/** Locked until the transaction ends. */
export const lockSchedule = async (tx: Executor, id: string): Promise<ScheduleRow | undefined> =>
  (await tx.select().from(replicationSchedules).where(eq(replicationSchedules.id, id)).for('update'))[0]
/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertSchedule = (db: Executor, values: typeof replicationSchedules.$inferInsert) =>
  db.insert(replicationSchedules).values(values)
export const updateSchedule = (db: Executor, id: string, change: Partial<typeof replicationSchedules.$inferInsert>) =>
  db
    .update(replicationSchedules)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(replicationSchedules.id, id))
/** When it runs next and has run last; no change that a user made. */
export const noteScheduleTimes = (
  db: Executor,
  id: string,
  times: { nextExecutionAt?: Date | null; lastExecutionAt?: Date },
) =>
  db
    .update(replicationSchedules)
    .set({ ...times, updatedAt: sql`${replicationSchedules.updatedAt}` })
    .where(eq(replicationSchedules.id, id))
export const deleteSchedule = (db: Executor, id: string) =>
  db.delete(replicationSchedules).where(eq(replicationSchedules.id, id))

/** Names of what is driven by a schedule. */
export const usersOfSchedule = async (db: Executor, id: string): Promise<{ groups: string[]; flows: string[] }> => ({
  groups: (
    await db.select({ name: vmMachineGroups.name }).from(vmMachineGroups).where(eq(vmMachineGroups.scheduleId, id))
  ).map(({ name }) => name),
  flows: (
    await db.select({ name: protectionFlows.name }).from(protectionFlows).where(eq(protectionFlows.scheduleId, id))
  ).map(({ name }) => name),
})

export const dueScheduleIds = async (db: Executor, now: Date): Promise<string[]> =>
  (
    await db
      .select({ id: replicationSchedules.id })
      .from(replicationSchedules)
      .where(
        and(
          eq(replicationSchedules.enabled, true),
          isNotNull(replicationSchedules.nextExecutionAt),
          lte(replicationSchedules.nextExecutionAt, now),
        ),
      )
      .orderBy(asc(replicationSchedules.nextExecutionAt))
  ).map(({ id }) => id)

/** Schedules that run after this one. */
export const schedulesAfter = (db: Executor, id: string): Promise<ScheduleRow[]> =>
  db
    .select()
    .from(replicationSchedules)
    .where(and(eq(replicationSchedules.chainParentScheduleId, id), eq(replicationSchedules.scheduleType, 'chain')))

export const toScheduleExecution = (run: ScheduleRunRow, scheduleName: string): z.infer<typeof scheduleExecution> => ({
  execution_id: run.id,
  schedule_id: run.scheduleId,
  schedule_name: scheduleName,
  status: run.status,
  scheduled_at: run.scheduledAt.toISOString(),
  started_at: iso(run.startedAt),
  completed_at: iso(run.completedAt),
  duration_seconds: run.executionDurationSeconds,
  jobs_created: run.jobsCreated,
  jobs_successful: run.jobsCompleted,
  jobs_failed: run.jobsFailed,
  jobs_skipped: run.jobsSkipped,
  vms_processed: run.vmsEligible,
  error_message: run.errorMessage,
  execution_type: run.executionType,
  triggered_by: run.triggeredBy,
  summary: run.executionDetails ?? {},
  created_at: run.createdAt.toISOString(),
  updated_at: (run.completedAt ?? run.startedAt ?? run.createdAt).toISOString(),
})

/** Throws ER_DUP_ENTRY when the schedule has a run of this time already. */
export const insertScheduleRun = (db: Executor, values: typeof scheduleExecutions.$inferInsert) =>
  db.insert(scheduleExecutions).values(values)
export const updateScheduleRun = (db: Executor, id: string, change: Partial<typeof scheduleExecutions.$inferInsert>) =>
  db.update(scheduleExecutions).set(change).where(eq(scheduleExecutions.id, id))
export const findScheduleRun = async (db: Executor, id: string): Promise<ScheduleRunRow | undefined> =>
  (await db.select().from(scheduleExecutions).where(eq(scheduleExecutions.id, id)))[0]
/** Locked until the transaction ends. */
export const lockScheduleRun = async (tx: Executor, id: string): Promise<ScheduleRunRow | undefined> =>
  (await tx.select().from(scheduleExecutions).where(eq(scheduleExecutions.id, id)).for('update'))[0]

export const runningScheduleRuns = (db: Executor): Promise<ScheduleRunRow[]> =>
  db.select().from(scheduleExecutions).where(eq(scheduleExecutions.status, 'running'))
export const runningRunOf = async (db: Executor, scheduleId: string): Promise<ScheduleRunRow | undefined> =>
  (
    await db
      .select()
      .from(scheduleExecutions)
      .where(
        and(
          eq(scheduleExecutions.scheduleId, scheduleId),
          inArray(scheduleExecutions.status, ['scheduled', 'running']),
        ),
      )
      .limit(1)
  )[0]

/** Newest first. */
export const listScheduleRuns = async (
  db: Executor,
  scheduleId: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: ScheduleRunRow[]; total: number }> => {
  const where = eq(scheduleExecutions.scheduleId, scheduleId)
  const [counted] = await db.select({ total: count() }).from(scheduleExecutions).where(where)
  const rows = await db
    .select()
    .from(scheduleExecutions)
    .where(where)
    .orderBy(desc(scheduleExecutions.scheduledAt), desc(scheduleExecutions.id))
    .limit(limit)
    .offset(offset)
  return { rows, total: counted?.total ?? 0 }
}
