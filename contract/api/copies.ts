/** Shapes of copies (contract section 13), and of healing a backup from one. */
import { z } from 'zod'
import { id, str, time } from './common.ts'

export const backupParams = z.object({ id })
export const copy = z.object({
  id: z.string(),
  source_backup_id: z.string(),
  repository_id: z.string(),
  repository_name: z.string(),
  copy_rule_id: z.string().nullable(),
  status: z.enum(['pending', 'copying', 'verifying', 'completed', 'failed']),
  /** The folder of the VM in the other repository; the files have the names and places that they have in their own. */
  file_path: z.string(),
  size_bytes: z.int(),
  progress_percent: z.number().min(0).max(100),
  bytes_copied: z.int(),
  total_bytes: z.int(),
  copy_started_at: time.nullable(),
  copy_completed_at: time.nullable(),
  verified_at: time.nullable(),
  verification_status: z.enum(['pending', 'passed', 'failed']),
  /** Of one that is open: what keeps it from going on; it is tried again. */
  error_message: z.string().nullable(),
  created_at: time,
})
/** The total is in the header X-Total-Count (contract section 26.1). */
export const copiesAnswer = z.array(copy)
export const copyBackupBody = z.object({ repository_id: str(1), verify_after_copy: z.boolean().default(true) })
export const copyBackupAnswer = z.object({ copy_id: z.string(), status: z.literal('pending'), message: z.string() })

export const healBody = z.object({
  /** Of the copy to heal from; without it one is chosen. */
  repository_id: str(1).optional(),
})
export const heal = z.object({
  repository_id: z.string(),
  progress_percent: z.number().min(0).max(100),
  bytes_copied: z.int(),
  total_bytes: z.int(),
  error_message: z.string().nullable(),
  created_at: time,
})
export const healAnswer = z.object({
  backup_id: z.string(),
  message: z.string(),
  verify_state: z.enum(['unverified', 'verified', 'damaged']),
  /** Null: there is nothing to heal, or it has been healed. */
  heal: heal.nullable(),
})
