/** How a site stands, at a glance; an extension of the contract. */
import { z } from 'zod'
import { queryInt, time } from './common.ts'

export const summaryQuery = z.object({
  /** How far the viewer's clock is ahead of UTC: whose days are counted. */
  utc_offset_minutes: queryInt(-14 * 60, 14 * 60).default(0),
})
/** Days that are counted, today among them. */
export const summaryDays = 30
/** VMs that are named; the counts are of all. */
export const summaryNamesMax = 20

const runs = { completed: z.int(), failed: z.int(), cancelled: z.int(), active: z.int() }
const vmName = z.object({ context_id: z.string(), vm_name: z.string() })
export const summaryAnswer = z.object({
  vms: z.object({
    total: z.int(),
    /** An enabled flow backs them up. */
    protected: z.int(),
    unprotected: z.int(),
    /** Without any backup, whatever became of it. */
    never_backed_up: z.int(),
    /** Their newest backup failed or has stalled. */
    failing: z.int(),
  }),
  /** Backups by the day on which they began, oldest first; every day is there. */
  days: z.array(z.object({ day: z.iso.date(), ...runs })),
  last_24_hours: z.object({ ...runs, bytes_transferred: z.int() }),
  /** Enabled ones, as last measured; by name. */
  repositories: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      state: z.enum(['ok', 'low', 'unreachable']),
      total_bytes: z.int(),
      used_bytes: z.int(),
      available_bytes: z.int(),
      last_check_at: time.nullable(),
      /** Until it is full, at what it has grown by lately; null: it does not grow, or is not known for two days. */
      days_left: z.number().nullable(),
    }),
  ),
  failing_vms: z.array(
    vmName.extend({
      backup_id: z.string(),
      status: z.string(),
      completed_at: time.nullable(),
      error_message: z.string().nullable(),
    }),
  ),
  unprotected_vms: z.array(vmName),
  damaged_backups: z.array(z.object({ backup_id: z.string(), vm_name: z.string(), verified_at: time.nullable() })),
  missed_runs: z.array(
    z.object({
      schedule_id: z.string(),
      schedule_name: z.string(),
      scheduled_at: time,
      error_message: z.string().nullable(),
    }),
  ),
})
export type Summary = z.infer<typeof summaryAnswer>
