/** What the hub and a source node agree on (contract section 24), as far as backups need it. */
import { z } from 'zod'
import { bytes, str } from './api/common.ts'
import { inventoryVm } from './api/inventory.ts'

export const discoverRequest = z.object({
  vcenter: str(1),
  username: str(0, 255),
  password: str(0, 1024),
  datacenter: str(0, 255),
  filter: str(0, 255).optional(),
})
export type DiscoverRequest = z.infer<typeof discoverRequest>
/** Unknown fields are ignored and most known ones may be missing: older nodes say less. */
export const discoverAnswer = z.object({ vms: z.array(inventoryVm).max(20_000) })
export type DiscoverAnswer = z.infer<typeof discoverAnswer>

export const startRequest = z.object({
  job_id: str(1),
  vm_name: str(1),
  vm_path: str(0, 500),
  vcenter_host: str(1),
  vcenter_user: str(0, 255),
  vcenter_password: str(0, 1024),
  nbd_host: str(1).default('127.0.0.1'),
  nbd_targets: str(1, 65536),
  backup_type: z.enum(['full', 'incremental']),
  previous_change_id: str(0, 255).nullish(),
  hub_url: str(1, 1024),
  callback_token: str(1, 4096),
  disks: z
    .array(
      z.object({
        disk_index: z.int().min(0),
        vmware_disk_key: z.int().min(2000),
        nbd_port: z.int().min(1).max(65535),
        nbd_export_name: str(1, 63),
        size_bytes: bytes,
        previous_change_id: str(1).nullish(),
      }),
    )
    .max(64)
    .optional(),
})
export type StartRequest = z.infer<typeof startRequest>

/** The node as the hub uses it. Throws NODE_UNREACHABLE, NODE_ERROR. */
export interface NodeApi {
  health(): Promise<void>
  /** DISCOVERY_FAILED when the source refused. Limit 120 s. */
  discover(request: DiscoverRequest): Promise<DiscoverAnswer>
  /** Limit 30 s. */
  startBackup(request: StartRequest): Promise<void>
  /** Best effort: the job may be gone already. */
  stopBackup(jobId: string, reason: string): Promise<void>
}
