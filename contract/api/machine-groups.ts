/** Shapes of contract section 16. */
import { z } from 'zod'
import { duration, id, listCounts, pagingQuery, str, time } from './common.ts'
import { schedule } from './schedules.ts'

export const groupParams = z.object({ id })
export const membershipParams = z.object({ id, vm_context_id: id })

const fields = {
  name: str(1),
  description: str(0, 2000).nullable(),
  schedule_id: id.nullable(),
  max_concurrent_vms: z.int().min(1).max(100),
  priority: z.int().min(0).max(100),
}
export const createGroupBody = z.object({
  name: fields.name,
  description: fields.description.default(null),
  schedule_id: fields.schedule_id.default(null),
  max_concurrent_vms: fields.max_concurrent_vms.default(5),
  priority: fields.priority.default(0),
  created_by: str(1).nullish(),
})
export const updateGroupBody = z.object(fields).partial()

export const group = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  schedule_id: z.string().nullable(),
  schedule_name: z.string().nullable(),
  /** How many run at once; no limit on how many are members. */
  max_concurrent_vms: z.int(),
  priority: z.int(),
  total_vms: z.int(),
  enabled_vms: z.int(),
  disabled_vms: z.int(),
  active_jobs: z.int(),
  last_execution: time.nullable(),
  created_by: z.string().nullable(),
  created_at: time,
  updated_at: time,
})
export const listGroupsQuery = z.object({ schedule_id: id.optional(), ...pagingQuery() })
export const groupsAnswer = z.object({
  groups: z.array(group),
  ...listCounts,
  filtered_by: z.string().nullable(),
  retrieved_at: time,
})
export const membership = z.object({
  id: z.string(),
  vm_context_id: z.string(),
  vm_name: z.string(),
  priority: z.int(),
  enabled: z.boolean(),
  schedule_override_id: z.string().nullable(),
  added_at: time,
  added_by: z.string().nullable(),
})
export const groupDetailAnswer = group.extend({ schedule: schedule.nullable(), memberships: z.array(membership) })
export const deleteGroupAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  group_id: z.string(),
  timestamp: time,
})

const memberPriority = z.int().min(0).max(2_147_483_647)
export const assignVmBody = z.object({
  vm_context_id: id,
  priority: memberPriority.default(0),
  enabled: z.boolean().default(true),
})
const capacity = z.object({
  group_id: z.string(),
  group_name: z.string(),
  current_members: z.int(),
  max_concurrent_vms: z.int(),
  available: z.int(),
  at_capacity: z.boolean(),
})
const processingTime = { processing_time: z.int(), processing_time_ms: z.int() }
export const assignVmAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  assigned_vm: z.object({
    vm_context_id: z.string(),
    vm_name: z.string(),
    group_id: z.string(),
    group_name: z.string(),
    priority: z.int(),
    enabled: z.boolean(),
    assigned_at: time,
  }),
  group_capacity: capacity,
  ...processingTime,
})
export const assignVmsBody = z.object({
  vm_context_ids: z.array(id).min(1).max(1000),
  priority: memberPriority.default(0),
  enabled: z.boolean().default(true),
})
export const assignVmsAnswer = z.object({
  success: z.boolean(),
  message: z.string(),
  bulk_result: z.object({
    total_requested: z.int(),
    successful: z.int(),
    failed: z.int(),
    successful_ids: z.array(z.string()),
    failed_ids: z.array(z.string()),
    /** By context id. */
    error_messages: z.record(z.string(), z.string()),
    duration: z.int(),
    duration_ms: z.int(),
  }),
  group_capacity: capacity,
})
export const listMembersQuery = z.object(pagingQuery())
export const membersAnswer = z.object({
  group_id: z.string(),
  group_name: z.string(),
  total_vms: z.int(),
  vms: z.array(
    z.object({
      vm_context_id: z.string(),
      vm_name: z.string(),
      vmware_vm_id: z.string(),
      priority: z.int(),
      enabled: z.boolean(),
      added_at: time,
      added_by: z.string().nullable(),
    }),
  ),
  ...listCounts,
  retrieved_at: time,
})
export const updateMembershipBody = z.object({ priority: memberPriority, enabled: z.boolean() }).partial()
export const removeVmAnswer = z.object({ success: z.literal(true), message: z.string(), ...processingTime })
export const enabledMembersAnswer = z.object({
  members: z.array(
    z.object({
      context_id: z.string(),
      vm_name: z.string(),
      cpu_count: z.int().nullable(),
      memory_mb: z.int().nullable(),
      os_type: z.string().nullable(),
      power_state: z.string().nullable(),
    }),
  ),
  ...listCounts,
})
export const setGroupBody = z.object({
  group_id: id,
  priority: z.int().min(0).max(100).optional(),
  enabled: z.boolean().optional(),
  added_by: str(1).nullish(),
})
export const setGroupAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  vm_context_id: z.string(),
  group_id: z.string(),
  priority: z.int(),
  enabled: z.boolean(),
  added_at: time,
  added_by: z.string().nullable(),
})

/** @param began as `performance.now()` gave it */
export const processingTimeSince = (began: number) => duration('processing_time', performance.now() - began)
