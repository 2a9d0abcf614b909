import { z } from 'zod'
import { listingLimits } from '../listing-limits.ts'
import { listCounts, pagingQuery, queryBool, queryInt, str, time } from './common.ts'

/** One way to open an encrypted volume; what it is tried on are all of them. */
const secret = z.union([
  z.strictObject({ password: str(1, 4096) }),
  /** Base64, of 64 KiB at most. */
  z.strictObject({ key_file: z.base64().min(1).max(88_000) }),
])
export type Secret = z.infer<typeof secret>

export const mountBody = z
  .object({
    backup_id: str(1),
    /** Not with `all_disks`. */
    disk_index: z.int().min(0).max(65535).optional(),
    /** Opens every disk of the restore point together, as the guest saw them. */
    all_disks: z.boolean().default(false),
    /** What opens encrypted volumes. Kept nowhere. */
    secrets: z.array(secret).max(8).default([]),
    /** Which of its places to read: its own repository, or that of a copy. Without it: its own, and a copy where that is gone or damaged. */
    repository_id: str(1).optional(),
  })
  .refine(({ disk_index, all_disks }) => all_disks !== (disk_index !== undefined), {
    path: ['disk_index'],
    message: 'name a disk, or ask for all_disks',
  })

export const partitionRoles = ['efi', 'msr', 'recovery', 'boot', 'swap', 'data', 'lvm', 'unknown'] as const
export type PartitionRole = (typeof partitionRoles)[number]

/** `lv`: a logical volume; `raid`: a software RAID; `decrypted`: what an encrypted volume holds; `guest`: all of them as the guest saw them. */
export const partitionKinds = ['partition', 'whole_disk', 'lv', 'raid', 'decrypted', 'guest'] as const
export type PartitionKind = (typeof partitionKinds)[number]

export const partition = z.object({
  /** From 1; 0 is a disk without a partition table. */
  number: z.int(),
  name: z.string(),
  /** The disk that it lies on; null: on several, or put together or decrypted. */
  disk_index: z.int().nullable(),
  kind: z.enum(partitionKinds),
  size_bytes: z.int(),
  filesystem: z.string().nullable(),
  label: z.string().nullable(),
  type: z.enum(partitionRoles).nullable(),
  mounted: z.boolean(),
  mount_path: z.string().nullable(),
  is_default: z.boolean(),
  reason: z.string().nullable(),
  /** Where the guest mounts it, as far as that is known. */
  guest_path: z.string().nullable(),
  /** It is encrypted, and `secrets` of the mount request held nothing that opens it. */
  locked: z.boolean(),
  /** Of a mounted one: whether its journal was clean, replayed in a throw-away overlay, or had to be left out. */
  journal: z.enum(['clean', 'replayed', 'not_replayed']).nullable(),
  /** Who parses a mounted one: processes without any right on the host, the kernel of a throw-away machine, or the host itself (its kernel, or a driver as root). */
  reader: z.enum(['sandbox', 'machine', 'host']).nullable(),
})
export type Partition = z.infer<typeof partition>

/** What a guest's system says of itself. */
export const guestSystem = z.object({
  os: z.string().nullable(),
  hostname: z.string().nullable(),
  /** The last time that it is known to have started. */
  booted_at: time.nullable(),
})
export type GuestSystem = z.infer<typeof guestSystem>

export const mountStatuses = ['mounting', 'mounted', 'unmounting', 'failed', 'unmounted'] as const
export const mount = z.object({
  mount_id: z.string(),
  backup_id: z.string(),
  backup_disk_id: z.int(),
  disk_index: z.int(),
  vm_name: z.string(),
  /** All disks of the restore point are open; `disk_index` is the first. */
  all_disks: z.boolean(),
  /** Null: it is read from the backup's own repository. */
  copy_repository_id: z.string().nullable(),
  mount_path: z.string().nullable(),
  nbd_device: z.string().nullable(),
  filesystem_type: z.string().nullable(),
  mount_mode: z.literal('read-only'),
  status: z.enum(mountStatuses),
  default_partition: z.int().nullable(),
  /** The system that was found on the disks, where one was looked for (`all_disks`). */
  guest: guestSystem.nullable(),
  partitions: z.array(partition),
  partition_metadata: z.string(),
  created_at: time,
  last_accessed_at: time,
  expires_at: time,
  error_message: z.string().nullable(),
})
export type Mount = z.infer<typeof mount>
export const mountsAnswer = z.object({ mounts: z.array(mount), ...listCounts })
export const mountsQuery = z.object(pagingQuery())
export const unmountAnswer = z.object({ message: z.string(), mount_id: z.string() })

/** A path is text, or base64 of its true bytes where the name is not valid UTF-8. */
export const pathFields = {
  path: z.string().max(16_384).optional(),
  path_b64: z.string().max(16_384).optional(),
}
export const pathQuery = { ...pathFields, partition: queryInt(0, 65535).optional() }

export const entry = z.object({
  name: z.string(),
  path: z.string(),
  type: z.enum(['file', 'directory']),
  size: z.int(),
  mode: z.string(),
  modified_time: time,
  is_symlink: z.boolean(),
  symlink_target: z.string().nullable(),
  path_b64: z.string().nullable(),
  special: z.boolean(),
})
export type Entry = z.infer<typeof entry>

export const filesQuery = z.object({
  ...pathQuery,
  recursive: queryBool.default(false),
  ...pagingQuery(listingLimits.max),
})
export const filesAnswer = z.object({
  mount_id: z.string(),
  path: z.string(),
  partition: z.int(),
  files: z.array(entry),
  ...listCounts,
  limit: z.int(),
  offset: z.int(),
  has_more: z.boolean(),
  next_offset: z.int().nullable(),
  truncated: z.boolean(),
})

export const fileInfoQuery = z.object(pathQuery)
export const fileInfoAnswer = entry.extend({
  accessed_time: time,
  created_time: time.nullable(),
  uid: z.int(),
  gid: z.int(),
  /** Names of its alternate data streams, which NTFS has beside the content. */
  streams: z.array(z.string()),
  mime_type: z.string().nullable(),
  partition: z.int(),
})

export const downloadQuery = z.object({ ...pathQuery, token: z.string().max(4096).optional() })
/** `format` is read as text, so that a wrong word gets UNSUPPORTED_FORMAT. */
export const downloadDirectoryQuery = downloadQuery.extend({
  format: z.string().max(64).default('zip'),
  /** Adds `_checksums.sha256`, as `sha256sum -c` reads it. */
  checksums: queryBool.default(false),
  /** Of its entries these alone: their names as base64url, with commas between them. */
  only: z
    .string()
    .max(24_000)
    .regex(/^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$/, 'must be names as base64url, with commas between them')
    .optional(),
})
/** Many files and folders in one archive, under their whole paths. */
export const archiveBody = z.object({
  partition: z.int().min(0).max(65535).optional(),
  /** All of one volume. */
  paths: z.array(z.object(pathFields)).min(1).max(1000),
  format: z.string().max(64).default('zip'),
  /** Adds `_checksums.sha256`, as `sha256sum -c` reads it. */
  checksums: z.boolean().default(false),
})

/** Entries that one archive may be asked for by name. */
export const onlyNamesMax = 1000
export const archiveFormats = ['zip', 'tar.gz', 'tar.zst'] as const
export type ArchiveFormat = (typeof archiveFormats)[number]

export const downloadTokenBody = z.object({
  ...pathFields,
  partition: z.int().min(0).max(65535).optional(),
  kind: z.enum(['file', 'directory']).default('file'),
  format: z.string().max(64).optional(),
})
/** Good for all of one mount, to be read; the password of HTTP Basic, where no token can be sent. */
export const accessAnswer = z.object({
  username: z.string(),
  password: z.string(),
  expires_at: time,
  url: z.string(),
  /** The same over SFTP, on the hub's own host; null: this hub serves none. `host_key` is its fingerprint, as OpenSSH shows it. */
  sftp: z.object({ port: z.int(), host_key: z.string() }).nullable(),
})

export const downloadTokenAnswer = z.object({ token: z.string(), expires_at: time, url: z.string() })

export const resourcesAnswer = z.object({
  active_mounts: z.int(),
  max_mounts: z.int(),
  available_slots: z.int(),
  allocated_devices: z.array(z.string()),
  available_devices: z.int(),
  device_utilization: z.string(),
  device_utilization_percent: z.number(),
})
export const cleanupStatusAnswer = z.object({
  running: z.boolean(),
  cleanup_interval: z.string(),
  idle_timeout: z.string(),
  active_mount_count: z.int(),
  expired_mount_count: z.int(),
  last_cleanup: time.nullable(),
  total_cleanups: z.int(),
  last_error: z.string().nullable(),
})
