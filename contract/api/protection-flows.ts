/** Shapes of contract section 17. */
import { z } from 'zod'
import { id, listCounts, pagingQuery, queryBool, queryInt, str, time } from './common.ts'

export const flowParams = z.object({ id })
export const flowTypes = ['backup', 'replication'] as const
export const targetTypes = ['vm', 'group'] as const
export const executionStatuses = ['pending', 'running', 'success', 'warning', 'error', 'cancelled'] as const
export const activeExecutionStatuses = ['pending', 'running'] as const
const executionStatus = z.enum(executionStatuses)

const fields = {
  name: str(1),
  description: str(0, 2000).nullable(),
  repository_id: id.nullable(),
  policy_id: id.nullable(),
  schedule_id: id.nullable(),
  enabled: z.boolean(),
}
export const createFlowBody = z
  .object({
    name: fields.name,
    flow_type: z.enum(flowTypes),
    target_type: z.enum(targetTypes),
    target_id: id,
    repository_id: fields.repository_id.default(null),
    description: fields.description.default(null),
    schedule_id: fields.schedule_id.default(null),
    policy_id: fields.policy_id.default(null),
    enabled: fields.enabled.default(true),
  })
  .refine((body) => body.flow_type !== 'backup' || body.repository_id !== null, {
    path: ['repository_id'],
    error: 'is required for a backup flow',
    params: { code: 'REQUIRED' },
  })
const fixed = (name: string) =>
  z
    .unknown()
    .refine((value) => value === undefined, { error: `${name} can not be changed`, params: { code: 'FORBIDDEN' } })
export const updateFlowBody = z
  .object({
    ...fields,
    flow_type: fixed('flow_type'),
    target_type: fixed('target_type'),
    target_id: fixed('target_id'),
  })
  .partial()

const status = {
  last_execution_id: z.string().nullable(),
  last_execution_status: executionStatus,
  last_execution_time: time.nullable(),
  next_execution_time: time.nullable(),
  total_executions: z.int(),
  successful_executions: z.int(),
  failed_executions: z.int(),
}
export const flow = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  flow_type: z.enum(flowTypes),
  target_type: z.enum(targetTypes),
  target_id: z.string(),
  /** Null when the target is gone. */
  target_name: z.string().nullable(),
  repository_id: z.string().nullable(),
  repository_name: z.string().nullable(),
  policy_id: z.string().nullable(),
  policy_name: z.string().nullable(),
  schedule_id: z.string().nullable(),
  schedule_name: z.string().nullable(),
  schedule_cron: z.string().nullable(),
  enabled: z.boolean(),
  status: z.object(status),
  last_execution: time.nullable(),
  next_execution: time.nullable(),
  created_at: time,
  updated_at: time,
  created_by: z.string().nullable(),
})
export const listFlowsQuery = z.object({
  flow_type: z.enum(flowTypes).optional(),
  target_type: z.enum(targetTypes).optional(),
  enabled: queryBool.optional(),
  ...pagingQuery(),
})
export const flowsAnswer = z.object({ flows: z.array(flow), ...listCounts })
export const flowsSummaryAnswer = z.object({
  total_flows: z.int(),
  active_flows: z.int(),
  enabled_flows: z.int(),
  disabled_flows: z.int(),
  backup_flows: z.int(),
  replication_flows: z.int(),
  total_executions: z.int(),
  successful_executions: z.int(),
  failed_executions: z.int(),
  total_executions_today: z.int(),
  successful_executions_today: z.int(),
  failed_executions_today: z.int(),
})
export const deleteFlowAnswer = z.object({ message: z.string(), deleted_flow_id: z.string() })

export const execution = z.object({
  id: z.string(),
  execution_id: z.string(),
  flow_id: z.string(),
  flow_name: z.string(),
  status: executionStatus,
  execution_type: z.enum(['scheduled', 'manual', 'api']),
  started_at: time.nullable(),
  completed_at: time.nullable(),
  execution_time_seconds: z.int().nullable(),
  duration_seconds: z.int().nullable(),
  jobs_created: z.int(),
  jobs_completed: z.int(),
  jobs_failed: z.int(),
  jobs_skipped: z.int(),
  vms_processed: z.int(),
  bytes_transferred: z.int(),
  error_message: z.string().nullable(),
  created_job_ids: z.array(z.string()),
  triggered_by: z.string().nullable(),
  created_at: time,
})
export const executeAnswer = execution.extend({ message: z.string() })
export const executionsQuery = z.object({ limit: queryInt(1, 100).default(10), offset: pagingQuery().offset })
export const executionsAnswer = z.object({ executions: z.array(execution), ...listCounts })
export const flowStatusAnswer = z.object({
  ...status,
  flow,
  last_execution: execution.nullable(),
  next_run: time.nullable(),
})

const flowIds = z.array(id).min(1).max(100)
export const bulkExecuteBody = z.object({
  flow_ids: flowIds.refine((ids) => new Set(ids).size === ids.length, {
    error: 'names a flow twice',
    params: { code: 'FORBIDDEN' },
  }),
})
export const bulkExecuteAnswer = z.object({
  results: z.array(
    z.object({
      flow_id: z.string(),
      success: z.boolean(),
      execution_id: z.string().nullable(),
      error: z.string().nullable(),
      code: z.string().nullable(),
    }),
  ),
  total: z.int(),
  succeeded: z.int(),
  failed: z.int(),
})
export const bulkChangeBody = z.object({ flow_ids: flowIds })
const bulkChange = {
  action: z.enum(['enable', 'disable', 'delete']),
  requested: z.int(),
  successful: z.int(),
  failed: z.int(),
  /** By flow id. */
  errors: z.record(z.string(), z.string()),
}
export const bulkUpdateAnswer = z.object({ updated_count: z.int(), ...bulkChange })
export const bulkDeleteAnswer = z.object({ deleted_count: z.int(), ...bulkChange })
export const testFlowAnswer = z.object({ valid: z.boolean(), errors: z.array(z.string()) })
