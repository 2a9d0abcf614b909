/** What the doctor found; an extension of the contract. */
import { z } from 'zod'
import { time } from './common.ts'

/** Findings that an answer names; all of them are counted. */
export const findingsMax = 500

export const examination = z.object({
  /** `failed`: it could not look. While it is looking, all else is of the time before. */
  state: z.enum(['never', 'running', 'done', 'failed']),
  started_at: time.nullable(),
  ended_at: time.nullable(),
  finding_count: z.int(),
  findings: z.array(
    z.object({
      /** The invariant that is broken; docs/invariants.md says them all. */
      invariant: z.string(),
      /** What it is about: an id, a path, a pid. */
      subject: z.string(),
      problem: z.string(),
    }),
  ),
  /** Why it could not look. */
  error: z.string().nullable(),
})
export type Examination = z.infer<typeof examination>
