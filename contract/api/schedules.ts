/** Shapes of contract section 15. */
import { z } from 'zod'
import { id, listCounts, pagingQuery, queryBool, queryInt, str, time } from './common.ts'

export const scheduleParams = z.object({ id })

const fields = {
  name: str(1),
  cron_expression: str(1, 100),
  timezone: str(1, 50),
  description: str(0, 2000).nullable(),
  skip_if_running: z.boolean(),
  max_concurrent_jobs: z.int().min(1).max(100),
  replication_type: z.enum(['full', 'incremental', 'auto']),
  retry_attempts: z.int().min(0).max(10),
  retry_delay_minutes: z.int().min(0).max(1440),
  enabled: z.boolean(),
  schedule_type: z.enum(['cron', 'chain']),
  chain_parent_schedule_id: id.nullable(),
  chain_delay_minutes: z
    .int()
    .min(0)
    .max(7 * 1440),
}
export const createScheduleBody = z.object({
  name: fields.name,
  cron_expression: fields.cron_expression,
  timezone: fields.timezone,
  description: fields.description.default(null),
  skip_if_running: fields.skip_if_running.default(true),
  max_concurrent_jobs: fields.max_concurrent_jobs.default(1),
  replication_type: fields.replication_type.default('auto'),
  retry_attempts: fields.retry_attempts.default(3),
  retry_delay_minutes: fields.retry_delay_minutes.default(30),
  enabled: fields.enabled.default(true),
  created_by: str(1).nullish(),
  schedule_type: fields.schedule_type.default('cron'),
  chain_parent_schedule_id: fields.chain_parent_schedule_id.default(null),
  chain_delay_minutes: fields.chain_delay_minutes.default(0),
})
export const updateScheduleBody = z
  .object(fields)
  .partial()
  .refine((body) => Object.values(body).some((value) => value !== undefined), {
    error: 'name at least one field to change',
    params: { code: 'REQUIRED' },
  })

export const schedule = z.object({
  id: z.string(),
  ...fields,
  description: z.string().nullable(),
  chain_parent_schedule_id: z.string().nullable(),
  next_execution: time.nullable(),
  last_execution: time.nullable(),
  created_by: z.string().nullable(),
  created_at: time,
  updated_at: time,
})
export const listSchedulesQuery = z.object({ enabled_only: queryBool.default(false), ...pagingQuery() })
export const schedulesAnswer = z.object({
  schedules: z.array(schedule),
  ...listCounts,
  enabled_count: z.int(),
  disabled_count: z.int(),
  retrieved_at: time,
})
export const deleteScheduleAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  schedule_id: z.string(),
  timestamp: time,
})
export const enableBody = z.object({ enabled: z.boolean().default(true) })
export const triggerBody = z.object({ reason: str(0, 255).nullish(), created_by: str(1).nullish() })

const executionStatus = z.enum(['scheduled', 'running', 'completed', 'failed', 'skipped', 'cancelled'])
/** What the run did beside its figures: which flows it began and which not, which groups it could not replicate. */
const summary = z.record(z.string(), z.unknown())
export const triggerAnswer = z.object({
  execution_id: z.string(),
  schedule_id: z.string(),
  schedule_name: z.string(),
  status: executionStatus,
  triggered_at: time,
  triggered_by: z.string().nullable(),
  reason: z.string().nullable(),
  jobs_created: z.int(),
  vms_processed: z.int(),
  summary,
})
export const scheduleExecution = z.object({
  execution_id: z.string(),
  schedule_id: z.string(),
  schedule_name: z.string(),
  status: executionStatus,
  scheduled_at: time,
  started_at: time.nullable(),
  completed_at: time.nullable(),
  duration_seconds: z.int().nullable(),
  jobs_created: z.int(),
  jobs_successful: z.int(),
  jobs_failed: z.int(),
  jobs_skipped: z.int(),
  vms_processed: z.int(),
  error_message: z.string().nullable(),
  execution_type: z.enum(['scheduled', 'manual']),
  triggered_by: z.string().nullable(),
  summary,
  created_at: time,
  updated_at: time,
})
export const scheduleExecutionsQuery = z.object({
  limit: queryInt(1, 100).default(20),
  page: queryInt(1, 1_000_000).default(1),
})
export const scheduleExecutionsAnswer = z.object({
  executions: z.array(scheduleExecution),
  ...listCounts,
  page: z.int(),
  page_size: z.int(),
  has_more: z.boolean(),
  retrieved_at: time,
})
