import { z } from 'zod'
import { bytes, listCounts, pagingQuery, queryBool, queryInt, str, time } from './common.ts'
import { heal } from './copies.ts'
import { fileIndex } from './files.ts'
import { context } from './vm-contexts.ts'

export const backupStatuses = ['started', 'in_progress', 'completed', 'failed', 'cancelled', 'stalled'] as const
export type BackupStatus = (typeof backupStatuses)[number]
export const activeStatuses = ['started', 'in_progress', 'stalled'] as const satisfies readonly BackupStatus[]
export const isActive = (status: string) => (activeStatuses as readonly string[]).includes(status)

export const backupTypes = ['full', 'incremental'] as const
export type BackupType = (typeof backupTypes)[number]

const tags = z
  .record(str(1, 64), str(0, 256))
  .refine((map) => Object.keys(map).length <= 32, { error: 'at most 32 tags', params: { code: 'LENGTH' } })

export const startBody = z
  .looseObject({
    vm_name: str(1).optional(),
    vm_context_id: str(1).optional(),
    repository_id: str(1),
    /** Read as text, so that a wrong word gets INVALID_BACKUP_TYPE and not VALIDATION_FAILED. */
    backup_type: z.string(),
    policy_id: str(1).nullish(),
    tags: tags.nullish(),
  })
  .refine((body) => body.vm_name !== undefined || body.vm_context_id !== undefined, {
    path: ['vm_name'],
    error: 'is required when vm_context_id is not given',
    params: { code: 'REQUIRED' },
    // Told beside what else is wrong, not after it.
    when: () => true,
  })

const backupFields = {
  backup_id: z.string(),
  vm_context_id: z.string().nullable(),
  vm_backup_context_id: z.string(),
  vm_name: z.string(),
  repository_id: z.string(),
  repository_name: z.string(),
  policy_id: z.string().nullable(),
  parent_backup_id: z.string().nullable(),
  tags: z.record(z.string(), z.string()),
  backup_type: z.enum(backupTypes),
  type: z.enum(backupTypes),
  status: z.enum(backupStatuses),
  current_phase: z.string(),
  progress_percent: z.number().min(0).max(100),
  bytes_transferred: z.int(),
  total_bytes: z.int(),
  transfer_speed_bps: z.int(),
  eta_seconds: z.int().nullable(),
  last_telemetry_at: time.nullable(),
  error_message: z.string().nullable(),
  disk_count: z.int(),
  disks_count: z.int(),
  total_size_gb: z.number(),
  size_bytes: z.int(),
  verify_state: z.enum(['unverified', 'verified', 'damaged']),
  verified_at: time.nullable(),
  /** Kept whatever a policy says. */
  protected: z.boolean(),
  /** Until when its files are immutable. */
  locked_until: time.nullable(),
  /** The backup that takes its place: no rule keeps this one any more. */
  merging_into: z.string().nullable(),
  created_at: time,
  started_at: time.nullable(),
  completed_at: time.nullable(),
  change_id: z.string().nullable(),
  file_path: z.string().nullable(),
}
export const backup = z.object(backupFields)
export type Backup = z.infer<typeof backup>

export const startAnswer = backup.extend({
  disk_results: z.array(
    z.object({
      disk_id: z.int(),
      disk_index: z.int(),
      vmware_disk_key: z.int(),
      nbd_port: z.int(),
      nbd_export_name: z.string(),
      qcow2_path: z.string(),
      qemu_nbd_pid: z.int(),
      status: z.enum(['port_allocated', 'qemu_started']),
      error_message: z.string().nullable(),
    }),
  ),
  nbd_targets_string: z.string(),
})

export const protectionBody = z.object({ protected: z.boolean() })

export const listQuery = z.object({
  vm_name: str(1).optional(),
  vm_context_id: str(1).optional(),
  repository_id: str(1).optional(),
  backup_type: z.enum(backupTypes).optional(),
  type: z.enum(backupTypes).optional(),
  status: z.enum(backupStatuses).optional(),
  ...pagingQuery(),
})
export const listAnswer = z.object({
  backups: z.array(backup),
  ...listCounts,
  vm_context: context.nullable().optional(),
})

export const backupDisk = z.object({
  id: z.int(),
  backup_disk_id: z.int(),
  backup_job_id: z.string(),
  disk_index: z.int(),
  disk_id: z.int(),
  vmware_disk_key: z.int(),
  label: z.string().nullable(),
  original_path: z.string().nullable(),
  status: z.enum(['pending', 'in_progress', 'completed', 'failed', 'cancelled']),
  size_gb: z.number(),
  size_bytes: z.int(),
  stored_bytes: z.int(),
  qcow2_path: z.string().nullable(),
  bytes_transferred: z.int(),
  total_bytes: z.int(),
  progress_percent: z.number(),
  change_id: z.string().nullable(),
  error_message: z.string().nullable(),
  created_at: time,
  completed_at: time.nullable(),
})
/** A check of a backup's files that waits or runs; its progress in the fields of a backup. */
export const verification = z.object({
  status: z.enum(['queued', 'running']),
  current_phase: z.literal('verifying'),
  progress_percent: z.number().min(0).max(100),
  bytes_transferred: z.int(),
  total_bytes: z.int(),
  transfer_speed_bps: z.int(),
  eta_seconds: z.int().nullable(),
  created_at: time,
  started_at: time.nullable(),
})
export const damage = z.object({
  backup_id: z.string(),
  disk_index: z.int(),
  file: z.string(),
  kind: z.enum(['missing', 'manifest', 'checksums', 'structure', 'data']),
  /** Of the guest's disk; null when it is not the guest's data. */
  offset_bytes: z.int().nullable(),
  length_bytes: z.int().nullable(),
  detail: z.string(),
})
export const verifyBody = z.looseObject({
  /** How fast the files are read; 0 = as fast as it goes. */
  bytes_per_second: bytes.default(0),
})
export const verifyAnswer = z.object({
  message: z.string(),
  backup_id: z.string(),
  verify_state: z.enum(['unverified', 'verified', 'damaged']),
  verification: verification.nullable(),
})

export const detailAnswer = backup.extend({
  disks: z.array(backupDisk),
  verification: verification.nullable(),
  /** Of one whose files are being brought back from a copy. */
  heal: heal.nullable(),
  /** What the last check found in its files and in those that it builds on. */
  damages: z.array(damage),
  /** Whether its files can be searched; null: nobody asked for it. */
  file_index: fileIndex.nullable(),
  copies_count: z.int(),
  dependents_count: z.int(),
})

export const chainQuery = z.object({
  vm_name: str(1).optional(),
  vm_context_id: str(1).optional(),
  repository_id: str(1).optional(),
  disk_id: queryInt(0, 65535).default(0),
  full_backup_id: str(1).optional(),
})
export const chainAnswer = z.object({
  success: z.literal(true),
  chain_id: z.string(),
  vm_name: z.string(),
  vm_context_id: z.string().nullable(),
  repository_id: z.string().nullable(),
  disk_id: z.int(),
  full_backup_id: z.string().nullable(),
  chain: z.array(
    z.object({
      backup_id: z.string(),
      backup_type: z.enum(backupTypes),
      type: z.enum(backupTypes),
      sequence_number: z.int(),
      created_at: time,
      completed_at: time.nullable(),
      size_gb: z.number(),
      size_bytes: z.int(),
      parent_backup_id: z.string().nullable(),
      backing_file: z.string().nullable(),
      is_restorable: z.boolean(),
      verify_state: z.enum(['unverified', 'verified', 'damaged']),
      verified_at: time.nullable(),
    }),
  ),
  backups: z.array(backup),
  total_backups: z.int(),
  backup_count: z.int(),
  chain_length: z.int(),
  chain_size_gb: z.number(),
  total_size_bytes: z.int(),
})

export const statsQuery = z.object({ vm_name: str(1), repository_id: str(1) })
export const statsAnswer = z.object({
  backup_count: z.int(),
  total_size_bytes: z.int(),
  last_backup_at: time.nullable(),
})

export const changeIdQuery = z.object({
  vm_name: str(1),
  disk_id: queryInt(0, 65535),
  repository_id: str(1).optional(),
})
/** Strings only: the client decodes a map of strings. */
export const changeIdAnswer = z.object({
  vm_name: z.string(),
  disk_id: z.string(),
  change_id: z.string(),
  backup_id: z.string(),
  backup_job_id: z.string(),
  backup_type: z.string(),
  completed_at: z.string(),
  message: z.string(),
})

const changeId = str(1).nullable()
const transferred = bytes.optional()
const diskIndex = z.int().min(0).max(65535)
export const completeBody = z
  .object({
    change_id: changeId.optional(),
    disk_id: diskIndex.optional(),
    bytes_transferred: transferred,
    disks: z
      .array(z.object({ disk_index: diskIndex, change_id: changeId, bytes_transferred: transferred }))
      .min(1)
      .max(64)
      .optional(),
  })
  .superRefine((body, check) => {
    const issue = (path: (string | number)[], message: string, code: string) =>
      check.addIssue({ code: 'custom', path, message, params: { code } })
    if (!body.disks) {
      if (body.change_id === undefined) issue(['change_id'], 'is required', 'REQUIRED')
      return
    }
    for (const field of ['change_id', 'disk_id', 'bytes_transferred'] as const)
      if (body[field] !== undefined) issue([field], 'must not be sent together with disks', 'FORBIDDEN')
    const seen = new Set<number>()
    body.disks.forEach((disk, at) => {
      if (seen.has(disk.disk_index)) issue(['disks', at, 'disk_index'], 'is named twice', 'FORBIDDEN')
      seen.add(disk.disk_index)
    })
  })
export const completeAnswer = z.object({
  status: z.literal('completed'),
  backup_id: z.string(),
  change_id: z.string().nullable(),
  message: z.string(),
  timestamp: time,
  job_status: z.enum(backupStatuses),
  disks_completed: z.int(),
  disks_total: z.int(),
  disks: z.array(z.object({ disk_index: z.int(), status: z.string(), change_id: z.string().nullable() })),
})

export const cancelBody = z.object({ reason: str().optional() })
export const cancelAnswer = z.object({
  backup_id: z.string(),
  status: z.literal('cancelled'),
  message: z.string(),
  timestamp: time,
})

export const deleteQuery = z.object({ cascade: queryBool.default(false) })
export const deleteAnswer = z.object({
  message: z.string(),
  backup_id: z.string(),
  deleted_backup_ids: z.array(z.string()),
  freed_bytes: z.int(),
})
