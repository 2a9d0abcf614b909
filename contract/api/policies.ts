/** Shapes of contract section 13. */
import { z } from 'zod'
import { id, pagingQuery, queryBool, queryInt, str, time } from './common.ts'

export const policyParams = z.object({ id })

export const copyModes = ['immediate', 'scheduled', 'manual'] as const
const copyRule = z.object({
  destination_repository_id: id,
  copy_mode: z.enum(copyModes).default('immediate'),
  /** Its place in the list unless said. */
  priority: z.int().min(1).max(1000).optional(),
  enabled: z.boolean().default(true),
  verify_after_copy: z.boolean().default(true),
})
const copyRules = z.array(copyRule).max(16)

const keepMax = 10_000
const keepCount = z.int().min(0).max(keepMax).default(0)
/** How many restore points are kept: the newest, and the newest of each hour, day, ISO week, month and year. */
const keep = z.object({
  last: keepCount,
  hourly: keepCount,
  daily: keepCount,
  weekly: keepCount,
  monthly: keepCount,
  yearly: keepCount,
})
export type Keep = z.infer<typeof keep>
export const keepCounts = Object.keys(keep.shape) as (keyof Keep)[]

const retentionDaysMax = 3650
const retentionDays = z.int().min(0).max(retentionDaysMax)
export const createPolicyBody = z.object({
  name: str(1),
  primary_repository_id: id,
  enabled: z.boolean().default(true),
  retention_days: retentionDays.default(30),
  keep: keep.nullish(),
  /** Whether the files of its backups can be searched. */
  index_files: z.boolean().default(true),
  /** Whether the contents of those files are read, too, so that they are found by their SHA-256. */
  index_digests: z.boolean().default(false),
  copy_rules: copyRules.default([]),
})
export const updatePolicyBody = z
  .object({
    name: str(1),
    primary_repository_id: id,
    enabled: z.boolean(),
    retention_days: retentionDays,
    keep: keep.nullable(),
    index_files: z.boolean(),
    index_digests: z.boolean(),
    copy_rules: copyRules,
  })
  .partial()

export const policy = z.object({
  id: z.string(),
  name: z.string(),
  enabled: z.boolean(),
  primary_repository_id: z.string().nullable(),
  retention_days: z.int(),
  keep: keep.nullable(),
  index_files: z.boolean(),
  index_digests: z.boolean(),
  copy_rules: z.array(
    z.object({
      id: z.string(),
      policy_id: z.string(),
      destination_repository_id: z.string(),
      copy_mode: z.enum(copyModes),
      priority: z.int(),
      enabled: z.boolean(),
      verify_after_copy: z.boolean(),
      created_at: time,
    }),
  ),
  created_at: time,
  updated_at: time,
})
/** The total is in the header X-Total-Count (contract section 26.1). */
export const policiesAnswer = z.array(policy)
export const listPoliciesQuery = z.object(pagingQuery())
export const deletePolicyAnswer = z.object({ message: z.string(), id: z.string() })

const supposedCount = queryInt(0, keepMax).optional()
/** What the policy is supposed to say, instead of what it says. One count alone takes the place of all of its counts. */
export const retentionQuery = z.object({
  enabled: queryBool.optional(),
  retention_days: queryInt(0, retentionDaysMax).optional(),
  last: supposedCount,
  hourly: supposedCount,
  daily: supposedCount,
  weekly: supposedCount,
  monthly: supposedCount,
  yearly: supposedCount,
})

export const retentionAnswer = z.object({
  policy_id: z.string(),
  /** Of each VM and repository, oldest first. */
  points: z.array(
    z.object({
      backup_id: z.string(),
      vm_name: z.string(),
      backup_type: z.string(),
      completed_at: time.nullable(),
      size_bytes: z.int(),
      /** `merge`: it goes, into the next point, which needs what it holds. */
      action: z.enum(['keep', 'delete', 'merge']),
      /** Why it is kept. */
      reasons: z.array(z.string()),
    }),
  ),
  keep_count: z.int(),
  /** Points that go, those that are merged among them. */
  delete_count: z.int(),
  freed_bytes: z.int(),
})
