import { z } from 'zod'
import { listCounts, pagingQuery, queryBool, str, time } from './common.ts'

export const repositoryTypes = ['local', 'nfs', 'cifs', 'smb', 's3', 'azure'] as const

const absolutePath = z
  .string()
  .min(1)
  .max(400)
  .refine((path) => path.startsWith('/') && !path.split('/').includes('..') && !/[\0-\x1f\x7f]/.test(path), {
    error: 'must be an absolute path without ".."',
    params: { code: 'FORMAT' },
  })

/** Of every type; which of them a repository has is its type's to say (see locationOf in workflows/repositories.ts). */
export const repositoryConfig = z.object({
  path: absolutePath.optional(),
  disk_path: absolutePath.optional(),
  auto_mount: z.boolean().optional(),
  mount_options: str(0, 255).optional(),
  mount_point: absolutePath.optional(),
  server: str(1, 253).optional(),
  export_path: str(1, 400).optional(),
  nfs_version: str(1, 8).optional(),
  share_name: str(1, 80).optional(),
  username: str(0, 255).optional(),
  /** Never shown. */
  password: str(0, 1024).optional(),
  domain: str(0, 255).optional(),
})
export type RepositoryConfig = z.infer<typeof repositoryConfig>

const immutableConfig = z.object({
  type: z.literal('linux_chattr').optional(),
  grace_period_days: z.int().min(0).max(3650).optional(),
  apply_to_full_backups: z.boolean().optional(),
  apply_to_incrementals: z.boolean().optional(),
})
const retentionDays = z.int().min(0).max(3650)

export const createRepositoryBody = z.object({
  name: str(1),
  type: z.enum(repositoryTypes),
  config: repositoryConfig,
  enabled: z.boolean().default(true),
  is_immutable: z.boolean().default(false),
  immutable_config: immutableConfig.nullish(),
  min_retention_days: retentionDays.default(0),
})
export const testRepositoryBody = z.object({ type: z.enum(repositoryTypes), config: repositoryConfig })
export const updateRepositoryBody = z.object({
  name: str(1).optional(),
  type: z.enum(repositoryTypes).optional(),
  enabled: z.boolean().optional(),
  config: repositoryConfig.optional(),
  min_retention_days: retentionDays.optional(),
})
export const listRepositoriesQuery = z.object({
  type: z.enum(repositoryTypes).optional(),
  enabled: queryBool.optional(),
  ...pagingQuery(),
})

export const storage = z.object({
  repository_id: z.string(),
  total_bytes: z.int(),
  used_bytes: z.int(),
  available_bytes: z.int(),
  used_percent: z.number(),
  mount_point: z.string(),
  backup_count: z.int(),
  last_check_at: time,
})
export type Storage = z.infer<typeof storage>

export const repository = z.object({
  id: z.string(),
  name: z.string(),
  type: z.enum(repositoryTypes),
  enabled: z.boolean(),
  config: z.record(z.string(), z.unknown()),
  is_immutable: z.boolean(),
  immutable_config: z.record(z.string(), z.unknown()).nullable(),
  min_retention_days: z.int(),
  storage_info: storage.nullable(),
  backup_count: z.int(),
  created_at: time,
  updated_at: time,
})

export const createRepositoryAnswer = repository.extend({
  success: z.literal(true),
  repository,
  repository_id: z.string(),
})
export const repositoriesAnswer = z.object({
  success: z.literal(true),
  repositories: z.array(repository),
  ...listCounts,
})
export const testRepositoryAnswer = z.object({
  success: z.boolean(),
  message: z.string(),
  storage_info: storage.nullable(),
  error_details: z.string().nullable(),
})
/** [ext] `forget_copies`: gives up the copies in it, for a storage that is gone for good. Their files are not touched. */
export const deleteRepositoryQuery = z.object({ forget_copies: queryBool.default(false) })
export const deleteRepositoryAnswer = z.object({ success: z.literal(true), message: z.string(), id: z.string() })
export const updateRepositoryAnswer = z.object({ success: z.literal(true), message: z.string(), repository })
export const refreshStorageAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  refreshed_count: z.int(),
  failed_count: z.int(),
})
export const storageSummaryAnswer = z.object({
  success: z.literal(true),
  summary: z.object({
    total_repositories: z.int(),
    enabled_repositories: z.int(),
    total_capacity_bytes: z.int(),
    total_used_bytes: z.int(),
    total_available_bytes: z.int(),
    overall_used_percentage: z.number(),
    repositories: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        type: z.string(),
        used_percentage: z.number(),
        health_status: z.enum(['healthy', 'warning', 'critical', 'offline']),
      }),
    ),
  }),
})
