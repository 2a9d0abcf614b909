/** Protection flows: what is to be protected, where, when and by which policy. */
import { and, asc, count, eq, gte, sql, sum } from 'drizzle-orm'
import type { z } from 'zod'
import type { execution, flow, flowTypes, targetTypes } from '../../contract/api/protection-flows.ts'
import type { Executor } from '../database.ts'
import {
  backupPolicies,
  backupRepositories,
  protectionFlowExecutions,
  protectionFlows,
  replicationSchedules,
  vmMachineGroups,
  vmReplicationContexts,
} from '../schema/index.ts'
import { iso } from './vms.ts'

export type FlowRow = typeof protectionFlows.$inferSelect
type Flow = z.infer<typeof flow>
export type FlowFilter = {
  id?: string
  flowType?: (typeof flowTypes)[number] | undefined
  targetType?: (typeof targetTypes)[number] | undefined
  enabled?: boolean | undefined
}

/** Flows with the names of all that they refer to and with their figures, by name. */
export const showFlows = async (db: Executor, filter: FlowFilter = {}): Promise<Flow[]> => {
  const rows = await db
    .select({
      row: protectionFlows,
      repositoryName: backupRepositories.name,
      policyName: backupPolicies.name,
      scheduleName: replicationSchedules.name,
      scheduleCron: replicationSchedules.cronExpression,
      scheduleEnabled: replicationSchedules.enabled,
      nextExecutionAt: replicationSchedules.nextExecutionAt,
      vmName: vmReplicationContexts.vmName,
      groupName: vmMachineGroups.name,
    })
    .from(protectionFlows)
    .leftJoin(backupRepositories, eq(backupRepositories.id, protectionFlows.repositoryId))
    .leftJoin(backupPolicies, eq(backupPolicies.id, protectionFlows.policyId))
    .leftJoin(replicationSchedules, eq(replicationSchedules.id, protectionFlows.scheduleId))
    .leftJoin(
      vmReplicationContexts,
      and(eq(protectionFlows.targetType, 'vm'), eq(vmReplicationContexts.contextId, protectionFlows.targetId)),
    )
    .leftJoin(
      vmMachineGroups,
      and(eq(protectionFlows.targetType, 'group'), eq(vmMachineGroups.id, protectionFlows.targetId)),
    )
    .where(
      and(
        filter.id === undefined ? undefined : eq(protectionFlows.id, filter.id),
        filter.flowType === undefined ? undefined : eq(protectionFlows.flowType, filter.flowType),
        filter.targetType === undefined ? undefined : eq(protectionFlows.targetType, filter.targetType),
        filter.enabled === undefined ? undefined : eq(protectionFlows.enabled, filter.enabled),
      ),
    )
    .orderBy(asc(protectionFlows.name))
  return rows.map(({ row, ...of }) => {
    const next = row.enabled && of.scheduleEnabled ? iso(of.nextExecutionAt) : null
    const last = iso(row.lastExecutionTime)
    return {
      id: row.id,
      name: row.name,
      description: row.description,
      flow_type: row.flowType,
      target_type: row.targetType,
      target_id: row.targetId,
      target_name: row.targetType === 'vm' ? of.vmName : of.groupName,
      repository_id: row.repositoryId,
      repository_name: of.repositoryName,
      policy_id: row.policyId,
      policy_name: of.policyName,
      schedule_id: row.scheduleId,
      schedule_name: of.scheduleName,
      schedule_cron: of.scheduleCron,
      enabled: row.enabled,
      status: {
        last_execution_id: row.lastExecutionId,
        last_execution_status: row.lastExecutionStatus,
        last_execution_time: last,
        next_execution_time: next,
        total_executions: row.totalExecutions,
        successful_executions: row.successfulExecutions,
        failed_executions: row.failedExecutions,
      },
      last_execution: last,
      next_execution: next,
      created_at: row.createdAt.toISOString(),
      updated_at: row.updatedAt.toISOString(),
      created_by: row.createdBy,
    }
  })
}

export const findFlow = async (db: Executor, id: string): Promise<FlowRow | undefined> =>
  (await db.select().from(protectionFlows).where(eq(protectionFlows.id, id)))[0]
/** Locked until the transaction ends. */
export const lockFlow = async (tx: Executor, id: string): Promise<FlowRow | undefined> =>
  (await tx.select().from(protectionFlows).where(eq(protectionFlows.id, id)).for('update'))[0]
/** Enabled flows that a schedule drives, by name. */
export const flowsOfSchedule = (db: Executor, scheduleId: string): Promise<FlowRow[]> =>
  db
    .select()
    .from(protectionFlows)
    .where(and(eq(protectionFlows.scheduleId, scheduleId), eq(protectionFlows.enabled, true)))
    .orderBy(asc(protectionFlows.name))
/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertFlow = (db: Executor, values: typeof protectionFlows.$inferInsert) =>
  db.insert(protectionFlows).values(values)
export const updateFlow = (db: Executor, id: string, change: Partial<typeof protectionFlows.$inferInsert>) =>
  db
    .update(protectionFlows)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(protectionFlows.id, id))
/** What its runs say of it; no change that a user made. */
export const noteFlowRun = (
  tx: Executor,
  id: string,
  run: Pick<FlowRow, 'lastExecutionId' | 'lastExecutionStatus' | 'lastExecutionTime'>,
  counts: { total?: number; successful?: number; failed?: number },
) =>
  tx
    .update(protectionFlows)
    .set({
      ...run,
      totalExecutions: sql`${protectionFlows.totalExecutions} + ${counts.total ?? 0}`,
      successfulExecutions: sql`${protectionFlows.successfulExecutions} + ${counts.successful ?? 0}`,
      failedExecutions: sql`${protectionFlows.failedExecutions} + ${counts.failed ?? 0}`,
      updatedAt: sql`${protectionFlows.updatedAt}`,
    })
    .where(eq(protectionFlows.id, id))
/** With its runs. */
export const deleteFlow = (db: Executor, id: string) => db.delete(protectionFlows).where(eq(protectionFlows.id, id))

/** @param today its first moment */
export const sumFlows = async (db: Executor, today: Date) => {
  const [flows] = await db
    .select({
      total: count(),
      enabled: sum(protectionFlows.enabled),
      backups: sum(sql`${protectionFlows.flowType} = 'backup'`),
      executions: sum(protectionFlows.totalExecutions),
      successful: sum(protectionFlows.successfulExecutions),
      failed: sum(protectionFlows.failedExecutions),
    })
    .from(protectionFlows)
  const [runs] = await db
    .select({
      total: count(),
      successful: sum(sql`${protectionFlowExecutions.status} = 'success'`),
      failed: sum(sql`${protectionFlowExecutions.status} in ('warning', 'error')`),
    })
    .from(protectionFlowExecutions)
    .where(gte(protectionFlowExecutions.createdAt, today))
  const [total, enabled, backups] = [flows?.total ?? 0, Number(flows?.enabled ?? 0), Number(flows?.backups ?? 0)]
  return {
    total_flows: total,
    active_flows: enabled,
    enabled_flows: enabled,
    disabled_flows: total - enabled,
    backup_flows: backups,
    replication_flows: total - backups,
    total_executions: Number(flows?.executions ?? 0),
    successful_executions: Number(flows?.successful ?? 0),
    failed_executions: Number(flows?.failed ?? 0),
    total_executions_today: runs?.total ?? 0,
    successful_executions_today: Number(runs?.successful ?? 0),
    failed_executions_today: Number(runs?.failed ?? 0),
  }
}

export type FlowRunRow = typeof protectionFlowExecutions.$inferSelect
export const toExecution = (run: FlowRunRow, flowName: string): z.infer<typeof execution> => ({
  id: run.id,
  execution_id: run.id,
  flow_id: run.flowId,
  flow_name: flowName,
  status: run.status,
  execution_type: run.executionType,
  started_at: iso(run.startedAt),
  completed_at: iso(run.completedAt),
  execution_time_seconds: run.executionTimeSeconds,
  duration_seconds: run.executionTimeSeconds,
  jobs_created: run.jobsCreated,
  jobs_completed: run.jobsCompleted,
  jobs_failed: run.jobsFailed,
  jobs_skipped: run.jobsSkipped,
  vms_processed: run.vmsProcessed,
  bytes_transferred: run.bytesTransferred,
  error_message: run.errorMessage,
  created_job_ids: run.createdJobIds ?? [],
  triggered_by: run.triggeredBy,
  created_at: run.createdAt.toISOString(),
})
