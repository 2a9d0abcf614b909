/** Runs of flows, and what they still have to do for each VM. */
import { and, asc, count, desc, eq, inArray, sql } from 'drizzle-orm'
import { activeExecutionStatuses } from '../../contract/api/protection-flows.ts'
import type { Executor } from '../database.ts'
import { backupJobs, protectionFlowExecutions, protectionFlowJobs } from '../schema/index.ts'
import type { FlowRunRow } from './flows.ts'

export type FlowJobRow = typeof protectionFlowJobs.$inferSelect
export type JobState = FlowJobRow['state']

export const insertFlowRun = async (
  tx: Executor,
  run: typeof protectionFlowExecutions.$inferInsert,
  jobs: (typeof protectionFlowJobs.$inferInsert)[],
) => {
  await tx.insert(protectionFlowExecutions).values(run)
  if (jobs.length > 0) await tx.insert(protectionFlowJobs).values(jobs)
}
export const findFlowRun = async (db: Executor, id: string): Promise<FlowRunRow | undefined> =>
  (await db.select().from(protectionFlowExecutions).where(eq(protectionFlowExecutions.id, id)))[0]
/** Locked until the transaction ends. */
export const lockFlowRun = async (tx: Executor, id: string): Promise<FlowRunRow | undefined> =>
  (await tx.select().from(protectionFlowExecutions).where(eq(protectionFlowExecutions.id, id)).for('update'))[0]
export const updateFlowRun = (
  db: Executor,
  id: string,
  change: Partial<typeof protectionFlowExecutions.$inferInsert>,
) =>
  db
    .update(protectionFlowExecutions)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(protectionFlowExecutions.id, id))

const isActive = inArray(protectionFlowExecutions.status, [...activeExecutionStatuses])
/** Oldest first. */
export const activeFlowRuns = async (db: Executor): Promise<string[]> =>
  (
    await db
      .select({ id: protectionFlowExecutions.id })
      .from(protectionFlowExecutions)
      .where(isActive)
      .orderBy(asc(protectionFlowExecutions.createdAt), asc(protectionFlowExecutions.id))
  ).map(({ id }) => id)
export const activeRunOfFlow = async (db: Executor, flowId: string): Promise<FlowRunRow | undefined> =>
  (
    await db
      .select()
      .from(protectionFlowExecutions)
      .where(and(eq(protectionFlowExecutions.flowId, flowId), isActive))
      .limit(1)
  )[0]
export const runsOfScheduleRun = (db: Executor, scheduleExecutionId: string): Promise<FlowRunRow[]> =>
  db
    .select()
    .from(protectionFlowExecutions)
    .where(eq(protectionFlowExecutions.scheduleExecutionId, scheduleExecutionId))

/** Newest first. */
export const listFlowRuns = async (
  db: Executor,
  flowId: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: FlowRunRow[]; total: number }> => {
  const where = eq(protectionFlowExecutions.flowId, flowId)
  const [counted] = await db.select({ total: count() }).from(protectionFlowExecutions).where(where)
  const rows = await db
    .select()
    .from(protectionFlowExecutions)
    .where(where)
    .orderBy(desc(protectionFlowExecutions.startedAt), desc(protectionFlowExecutions.id))
    .limit(limit)
    .offset(offset)
  return { rows, total: counted?.total ?? 0 }
}

/** In the order in which they are to run. */
export const jobsOfRun = (db: Executor, executionId: string): Promise<FlowJobRow[]> =>
  db
    .select()
    .from(protectionFlowJobs)
    .where(eq(protectionFlowJobs.executionId, executionId))
    .orderBy(asc(protectionFlowJobs.position))
/** Jobs that run or are about to, over all flows of a schedule's run. */
export const busyJobsOfScheduleRun = async (db: Executor, scheduleExecutionId: string): Promise<number> =>
  (
    await db
      .select({ jobs: count() })
      .from(protectionFlowJobs)
      .innerJoin(protectionFlowExecutions, eq(protectionFlowExecutions.id, protectionFlowJobs.executionId))
      .where(
        and(
          eq(protectionFlowExecutions.scheduleExecutionId, scheduleExecutionId),
          inArray(protectionFlowJobs.state, ['starting', 'running']),
        ),
      )
  )[0]?.jobs ?? 0

/** @returns whether it still was in the state that the change is made from */
export const moveJob = async (
  db: Executor,
  id: string,
  from: JobState,
  change: Partial<Omit<typeof protectionFlowJobs.$inferInsert, 'id'>> & { state: JobState },
): Promise<boolean> => {
  const [result] = await db
    .update(protectionFlowJobs)
    .set(change)
    .where(and(eq(protectionFlowJobs.id, id), eq(protectionFlowJobs.state, from)))
  return result.affectedRows > 0
}

export type BackupOfJob = Pick<
  typeof backupJobs.$inferSelect,
  'id' | 'flowJobId' | 'status' | 'errorMessage' | 'bytesTransferred' | 'startedAt' | 'createdAt'
>
/** Backups that were made for the jobs of a run, oldest first. */
export const backupsOfRun = async (db: Executor, jobIds: string[]): Promise<BackupOfJob[]> =>
  jobIds.length === 0
    ? []
    : db
        .select({
          id: backupJobs.id,
          flowJobId: backupJobs.flowJobId,
          status: backupJobs.status,
          errorMessage: backupJobs.errorMessage,
          bytesTransferred: backupJobs.bytesTransferred,
          startedAt: backupJobs.startedAt,
          createdAt: backupJobs.createdAt,
        })
        .from(backupJobs)
        .where(inArray(backupJobs.flowJobId, jobIds))
        .orderBy(asc(backupJobs.createdAt), asc(backupJobs.id))

/** The run that a backup was made for. */
export const runOfBackup = async (db: Executor, backupId: string): Promise<string | undefined> =>
  (
    await db
      .select({ id: protectionFlowJobs.executionId })
      .from(backupJobs)
      .innerJoin(protectionFlowJobs, eq(protectionFlowJobs.id, backupJobs.flowJobId))
      .where(eq(backupJobs.id, backupId))
  )[0]?.id
