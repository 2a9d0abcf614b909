import { z } from 'zod'
import { id, listCounts, name, str, time } from './common.ts'

const password = str(0, 1024)

/** Where to discover: a saved credential, or all four of vcenter, username, password, datacenter. */
const sourceFields = {
  credential_id: z.int().min(1).optional(),
  vcenter: str(1).optional(),
  username: str().optional(),
  password: password.optional(),
  datacenter: str().optional(),
}
type SourceFields = {
  credential_id?: number
  vcenter?: string
  username?: string
  password?: string
  datacenter?: string
}
const withSource = <S extends z.ZodType<SourceFields>>(schema: S) =>
  (['vcenter', 'username', 'password', 'datacenter'] as const).reduce<S>(
    (checked, field) =>
      checked.refine((body) => body.credential_id !== undefined || body[field] !== undefined, {
        path: [field],
        error: 'is required when credential_id is not given',
        params: { code: 'REQUIRED' },
        when: () => true,
      }) as S,
    schema,
  )

const names = (min: number) => z.array(name).min(min).max(1000)

export const discoverBody = withSource(
  z.object({
    ...sourceFields,
    filter: str().optional(),
    selected_vms: names(0).optional(),
    create_context: z.boolean().default(false),
  }),
)
export const addVmsBody = withSource(z.object({ ...sourceFields, vm_names: names(1), added_by: str().optional() }))
export const bulkAddBody = z.object({
  vcenter: str(1),
  username: str(),
  password,
  datacenter: str(),
  selected_vms: names(1),
  filter: str().optional(),
})
export const previewBody = withSource(z.object({ ...sourceFields, filter: str().optional() }))

const discoveredVm = z.object({
  id: z.string(),
  name: z.string(),
  path: z.string().nullable(),
  power_state: z.string().nullable(),
  guest_os: z.string().nullable(),
  memory_mb: z.int().nullable(),
  num_cpu: z.int().nullable(),
  vmx_version: z.string().nullable(),
  disks: z.array(
    z.object({
      id: z.string().nullable(),
      label: z.string().nullable(),
      path: z.string().nullable(),
      size_gb: z.number(),
      capacity_bytes: z.int(),
      datastore: z.string().nullable(),
    }),
  ),
  networks: z.array(
    z.object({ label: z.string().nullable(), network_name: z.string().nullable(), mac_address: z.string().nullable() }),
  ),
  existing: z.boolean(),
  context_id: z.string().nullable(),
})
export type DiscoveredVm = z.infer<typeof discoveredVm>

export const bulkAddResult = z.object({
  total_requested: z.int(),
  successfully_added: z.int(),
  skipped: z.int(),
  failed: z.int(),
  added_vms: z.array(
    z.object({
      context_id: id,
      vm_name: z.string(),
      vm_path: z.string(),
      status: z.string(),
      auto_added: z.boolean(),
      cpu_count: z.int().nullable(),
      memory_mb: z.int().nullable(),
      os_type: z.string().nullable(),
      power_state: z.string().nullable(),
    }),
  ),
  skipped_vms: z.array(
    z.object({ vm_name: z.string(), vm_path: z.string(), reason: z.string(), existing_context_id: z.string() }),
  ),
  failed_vms: z.array(z.object({ vm_name: z.string(), vm_path: z.string(), error: z.string() })),
  discovery_duration: z.int(),
  discovery_duration_ms: z.int(),
  processing_duration: z.int(),
  processing_duration_ms: z.int(),
})
export type BulkAddResult = z.infer<typeof bulkAddResult>

export const discoverAnswer = z.object({
  discovered_vms: z.array(discoveredVm),
  discovery_count: z.int(),
  processing_time: z.int(),
  processing_time_ms: z.int(),
  status: z.enum(['success', 'partial_success']),
  message: z.string(),
  addition_result: bulkAddResult.nullable(),
})

export const addVmsAnswer = z.object({
  success: z.boolean(),
  message: z.string(),
  vms_added: z.int(),
  vms_failed: z.int(),
  vms_skipped: z.int(),
  total_vms: z.int(),
  added_at: time,
  processed_vms: z.array(
    z.object({
      vm_name: z.string(),
      success: z.boolean(),
      context_id: z.string().nullable(),
      error: z.string().nullable(),
      skipped: z.boolean(),
    }),
  ),
})

export const previewAnswer = z.object({
  vms: z.array(discoveredVm),
  total_discovered: z.int(),
  new_vms: z.int(),
  existing_vms: z.int(),
  processing_time: z.int(),
  processing_time_ms: z.int(),
  vcenter: z.string(),
  datacenter: z.string(),
  filter: z.string().nullable(),
})

export const ungroupedAnswer = z.object({
  vms: z.array(
    z.object({
      context_id: z.string(),
      vm_name: z.string(),
      vm_path: z.string(),
      vcenter_host: z.string(),
      datacenter: z.string(),
      current_status: z.string(),
      auto_added: z.boolean(),
      scheduler_enabled: z.boolean(),
      cpu_count: z.int().nullable(),
      memory_mb: z.int().nullable(),
      os_type: z.string().nullable(),
      power_state: z.string().nullable(),
      created_at: time,
      last_job_at: time.nullable(),
    }),
  ),
  ...listCounts,
  retrieved_at: time,
})
