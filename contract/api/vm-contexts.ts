import { z } from 'zod'
import { listCounts, time } from './common.ts'

export const vmStatuses = [
  'discovered',
  'ready',
  'replicating',
  'ready_for_failover',
  'failed_over_test',
  'failed_over_live',
  'completed',
  'failed',
  'cleanup_required',
] as const

/** What the list of VMs is sorted by; `-`: downwards. */
const sortFields = ['vm_name', 'current_status', 'cpu_count', 'memory_mb', 'last_job_at', 'created_at'] as const
export type VmSort = (typeof sortFields)[number] | `-${(typeof sortFields)[number]}`
export const vmSorts = sortFields.flatMap((field): VmSort[] => [field, `-${field}`])

const contextFields = {
  context_id: z.string(),
  vm_name: z.string(),
  vmware_vm_id: z.string(),
  vm_path: z.string(),
  vcenter_host: z.string(),
  datacenter: z.string(),
  current_status: z.enum(vmStatuses),
  current_job_id: z.string().nullable(),
  total_jobs_run: z.int(),
  successful_jobs: z.int(),
  failed_jobs: z.int(),
  last_successful_job_id: z.string().nullable(),
  cpu_count: z.int().nullable(),
  memory_mb: z.int().nullable(),
  os_type: z.string().nullable(),
  power_state: z.enum(['poweredOn', 'poweredOff', 'suspended']).nullable(),
  vm_tools_version: z.string().nullable(),
  created_at: time,
  updated_at: time,
  first_job_at: time.nullable(),
  last_job_at: time.nullable(),
  last_status_change: time.nullable(),
  auto_added: z.boolean(),
  last_scheduled_job_id: z.string().nullable(),
  next_scheduled_at: time.nullable(),
  scheduler_enabled: z.boolean(),
  ossea_config_id: z.int().nullable(),
  credential_id: z.int().nullable(),
  last_operation_summary: z.record(z.string(), z.unknown()).nullable(),
}
const groups = {
  groups: z.array(z.object({ group_id: z.string(), group_name: z.string(), priority: z.int(), enabled: z.boolean() })),
  group_count: z.int(),
}

/** A managed VM with the groups it is in. */
export const context = z.object({ ...contextFields, ...groups })

export const vmContextsAnswer = z.object({
  vm_contexts: z.array(
    context.extend({
      disk_count: z.int(),
      last_backup: z
        .object({ backup_id: z.string(), backup_type: z.string(), status: z.string(), completed_at: time.nullable() })
        .nullable(),
      /** Whether an enabled flow backs it up, by itself or in a group. */
      is_protected: z.boolean(),
      /** Of those flows; null when no schedule drives any. */
      next_run: time.nullable(),
    }),
  ),
  ...listCounts,
})

export const vmDisk = z.object({
  disk_index: z.int(),
  disk_id: z.string(),
  vmware_disk_key: z.int(),
  label: z.string().nullable(),
  size_gb: z.number(),
  capacity_bytes: z.int(),
  datastore: z.string().nullable(),
  path: z.string(),
  vmdk_path: z.string(),
  provisioning_type: z.string().nullable(),
  unit_number: z.int().nullable(),
  disk_change_id: z.string().nullable(),
})

export const vmContextAnswer = z.object({
  context,
  current_job: z.record(z.string(), z.unknown()).nullable(),
  job_history: z.array(z.record(z.string(), z.unknown())),
  disks: z.array(vmDisk),
  cbt_history: z.array(z.record(z.string(), z.unknown())),
  last_operation: z.record(z.string(), z.unknown()).nullable(),
})

export const vmDisksAnswer = z.object({
  vm_name: z.string(),
  context_id: z.string(),
  disks: z.array(vmDisk),
  total_disks: z.int(),
  ...listCounts,
})

export const recentJob = z.object({
  job_id: z.string(),
  external_job_id: z.string().nullable(),
  job_type: z.enum(['backup', 'replication', 'test_failover', 'live_failover', 'rollback']),
  status: z.string(),
  progress: z.number(),
  started_at: time.nullable(),
  completed_at: time.nullable(),
  display_name: z.string(),
  current_step: z.string().nullable(),
  error_message: z.string().nullable(),
  error_category: z.string().nullable(),
  actionable_steps: z.array(z.string()),
  data_source: z.enum(['backup_jobs', 'replication_jobs', 'job_tracking']),
  duration_seconds: z.int().nullable(),
})
export type RecentJob = z.infer<typeof recentJob>
export const recentJobsAnswer = z.object({ context_id: z.string(), jobs: z.array(recentJob), ...listCounts })
