import { z } from 'zod'
import { backupStatuses } from './backups.ts'
import { bytes, str, time, timeIn } from './common.ts'

export const telemetryParams = z.object({ job_type: z.enum(['backup', 'replication', 'restore']), job_id: str(1) })

const diskStatuses = [
  'pending',
  'in_progress',
  'completed',
  'failed',
  'cancelled',
  'transferring',
  'running',
  'snapshot',
  'finalizing',
] as const
const percent = z.number().min(0).max(100)

export const telemetryBody = z.object({
  status: z.enum(['running', 'in_progress', 'completed', 'failed', 'stalled']),
  current_phase: str(0, 50).optional(),
  bytes_transferred: bytes.optional(),
  total_bytes: bytes.optional(),
  transfer_speed_bps: bytes.optional(),
  eta_seconds: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional(),
  progress_percent: percent.optional(),
  disks: z
    .array(
      z.object({
        disk_index: z.int().min(0).max(65535),
        bytes_transferred: bytes.optional(),
        total_bytes: bytes.optional(),
        progress_percent: percent.optional(),
        status: z.enum(diskStatuses).optional(),
        error_message: str(0, 4096).nullish(),
      }),
    )
    .max(64)
    .optional(),
  error: z
    .union([str(0, 4096), z.object({ message: str(0, 4096), code: str().nullish(), timestamp: timeIn.nullish() })])
    .nullish(),
  timestamp: timeIn.optional(),
  job_id: z.string().optional(),
  job_type: z.string().optional(),
})
export type Telemetry = z.infer<typeof telemetryBody>

export const telemetryAnswer = z.object({
  status: z.literal('success'),
  message: z.string(),
  timestamp: time,
  applied: z.boolean(),
  job_status: z.enum(backupStatuses),
})
