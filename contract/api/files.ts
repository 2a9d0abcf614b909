/** Files of restore points, found without knowing where they are; an extension of the contract. */
import { z } from 'zod'
import { id, pagingQuery, queryBool, queryInt, str, time } from './common.ts'

export const fileIndex = z.object({
  backup_id: z.string(),
  status: z.enum(['pending', 'running', 'completed', 'failed']),
  entry_count: z.int(),
  /** Whether a policy asks for the SHA-256 of the files' contents, and whether they have been read. */
  digests: z.enum(['none', 'pending', 'completed']),
  started_at: time.nullable(),
  ended_at: time.nullable(),
  error_message: z.string().nullable(),
})

const kinds = ['file', 'directory', 'link', 'other'] as const
export type FileKind = (typeof kinds)[number]
const version = {
  type: z.enum(kinds),
  size: z.int(),
  modified_time: time,
  /** Of the content, where a policy asked for it. */
  sha256: z.string().nullable(),
}
/** Where a file is: its volume as the index calls it, and its path. `path_b64` where the path is no text. */
const place = { volume: z.string(), path: z.string(), path_b64: z.string().nullable() }

const searchLimitMax = 200
const offsetMax = 10_000
export const searchQuery = z.object({
  /** Words, or their beginnings: a file is found when its name has all of them. Not needed with `sha256`. */
  q: str(1, 200).optional(),
  /** Finds what has this very content, where a policy had it read. */
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .optional(),
  vm_name: str(1).optional(),
  type: z.enum(['file', 'directory']).optional(),
  /** Also what the newest indexed point does not have any more. */
  deleted: queryBool.default(false),
  limit: queryInt(1, searchLimitMax).default(50),
  offset: queryInt(0, offsetMax).default(0),
})
export const searchAnswer = z.object({
  files: z.array(
    z.object({
      vm_name: z.string(),
      ...place,
      ...version,
      /** The newest restore point that has it so. */
      backup_id: z.string(),
      completed_at: time,
      /** Whether the newest indexed point still has it so. */
      is_current: z.boolean(),
    }),
  ),
  has_more: z.boolean(),
  next_offset: z.int().nullable(),
})

const pathFields = { path: z.string().max(16_384).optional(), path_b64: z.string().max(16_384).optional() }
export const historyQuery = z.object({ vm_name: str(1), volume: str(1, 300).optional(), ...pathFields })
export const historyAnswer = z.object({
  vm_name: z.string(),
  /** Newest first. A version that no restore point has any more is left out. */
  versions: z.array(
    z.object({
      ...place,
      ...version,
      /** Restore points that have it so, of those that are indexed. */
      point_count: z.int(),
      /** The first and the last of them. */
      first_backup_id: z.string(),
      first_completed_at: time,
      last_backup_id: z.string(),
      last_completed_at: time,
    }),
  ),
})

const diffLimitMax = 1000
export const diffParams = z.object({ backup_id: id, other_id: id })
export const diffQuery = z.object({
  /** A folder; without it everything. */
  path: z.string().max(16_384).optional(),
  ...pagingQuery(diffLimitMax),
})
const side = z.object(version).nullable()
export const diffAnswer = z.object({
  backup_id: z.string(),
  other_id: z.string(),
  /** What is in the second and not in the first was added. */
  changes: z.array(z.object({ ...place, change: z.enum(['added', 'removed', 'changed']), before: side, after: side })),
  has_more: z.boolean(),
  next_offset: z.int().nullable(),
})

export const fetchQuery = z.object({ volume: str(1, 300), ...pathFields })
