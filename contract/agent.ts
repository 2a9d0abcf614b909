/**
 * What the hub and the host-agent agree on: HTTP with JSON bodies over a unix socket.
 * The agent takes ids and names of ours, never a device, a pid, a mount option or an image option. The one path that it
 * takes is the root of a repository; all files of a repository are named by id, folder and file name below it.
 * `agentApi` is implemented by the client (runtime/bindings/agent.ts), by the agent itself and by the tests' fake.
 */
import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { Examination } from './api/doctor.ts'
import { archiveFormats, type Entry, entry, type GuestSystem, type Partition } from './api/restore.ts'
import { exportNamePattern, safeIdPattern } from './names.ts'
import { type NetworkShare, networkShare } from './shares.ts'

const safeId = z.string().regex(safeIdPattern)
const exportName = z.string().regex(exportNamePattern)
const size = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const diskIndex = z.int().min(0).max(65535)
export const mountIdSchema = z.uuid()
export const exportNameSchema = exportName
export const repositoryIdSchema = safeId

export type AgentHealth = {
  status: 'ok'
  version: string
  uptime_seconds: number
  /** How disks are attached on this host. */
  attach_backend: 'kernel-nbd' | 'userspace'
  /** How throw-away machines are run: with the processor's help, or emulated; null: there are none, or the first has not started yet. */
  machines: 'kvm' | 'tcg' | null
  qemu_version: string
  exports: number
  mounts: number
  max_mounts: number
}

/** A folder of this host, or a share that the agent mounts. */
export const repositoryBody = z.union([
  z.object({ path: z.string().min(1).max(400) }),
  z.object({ share: networkShare }),
])
export type RepositoryPlace = string | NetworkShare
/** `locks`: whether its files must be lockable. */
export const testRepositoryBody = z.object({ place: repositoryBody, locks: z.boolean() })
export type RepositoryStorage = {
  total_bytes: number
  used_bytes: number
  available_bytes: number
  mount_point: string
}

/** One disk's file in a repository: `{root}/{vm_backup_context_id}/disk-{disk_index}/{base}.qcow2`. */
export const diskFile = z.object({
  repository_id: safeId,
  vm_backup_context_id: safeId,
  disk_index: diskIndex,
  base: safeId,
})
export type DiskFile = z.infer<typeof diskFile>

/** A chain of one disk, newest file first, the full last. */
export const diskChain = z.object({
  repository_id: safeId,
  vm_backup_context_id: safeId,
  disk_index: diskIndex,
  bases: z.array(safeId).min(1).max(1000),
})
export type DiskChain = z.infer<typeof diskChain>

/** A new disk file to be written over NBD, or (for the NBD routes of an admin) a file that is there. */
export const exportBody = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('new'),
    job_id: z.string().min(1).max(191),
    port: z.int().min(1).max(65535),
    file: diskFile,
    /** Size of the guest's disk in bytes; rounded up to a sector of 512. */
    virtual_size_bytes: size,
    /** Files that the new one builds on, newest first; empty for a full. */
    parent_bases: z.array(safeId).max(1000),
    shared_connections: z.int().min(1).max(64),
  }),
  z.object({
    kind: z.literal('existing'),
    job_id: z.string().min(1).max(191).nullable(),
    port: z.int().min(1).max(65535),
    repository_id: safeId,
    /** Below the repository's root; the agent resolves it and checks that its real path is still inside. */
    relative_path: z.string().min(1).max(4096),
    read_only: z.boolean(),
    shared_connections: z.int().min(1).max(64),
  }),
])
export type ExportBody = z.infer<typeof exportBody>

/** `lost`: its qemu-nbd died or the agent was restarted; the file is no restore point and waits to be dropped. */
export type ExportStatus = 'writing' | 'sealing' | 'sealed' | 'failed' | 'lost'
export type ExportState = {
  export_name: string
  /** `new`: a backup that is being written; `existing`: a file that an admin had exported. */
  kind: 'new' | 'existing'
  job_id: string | null
  status: ExportStatus
  port: number
  pid: number | null
  process_start: string | null
  path: string
  read_only: boolean
  shared_limit: number
  connection_count: number
  uptime_seconds: number
  error_message: string | null
  /** Of a seal: guest bytes whose checksums are done, and of all. */
  sealed_bytes: number
  total_bytes: number
  stored_bytes: number
  change_id: string | null
  /** Of a sealed disk: what names its manifest, and so all of it, for ever. */
  manifest_digest: string | null
}

/** What a sealed file's manifest says beside what the agent itself knows. */
export const sealBody = z.object({
  /** The agent answers when the seal has ended, or after this long with the progress so far. */
  wait_seconds: z.number().min(0).max(60),
  change_id: z.string().min(1).max(255).nullable(),
  bytes_transferred: size.nullable(),
  manifest: z.object({
    backup_id: safeId,
    backup_type: z.enum(['full', 'incremental']),
    parent_backup_id: safeId.nullable(),
    vm_name: z.string(),
    vm_context_id: z.string().nullable(),
    source: z.object({
      vcenter_host: z.string().nullable(),
      vm_path: z.string().nullable(),
      vm_id: z.string().nullable(),
    }),
    disk_count: z.int().min(1),
    disk_label: z.string().nullable(),
    created_at: z.iso.datetime(),
  }),
})
export type SealBody = z.infer<typeof sealBody>

export type FileCheck = { base: string; exists: boolean; stored_bytes: number; sealed: boolean; problem: string | null }

/** The newest file of a chain, to be read again and compared with its checksums. */
export const verifyBody = z.object({
  chain: diskChain,
  /** As the seal gave it. Null when that is not known. */
  manifest_digest: z.string().length(64).nullable(),
  /** Where an earlier check of this file got to, in bytes of the guest's disk. */
  from_bytes: size,
  /** 0 = as fast as it goes. */
  bytes_per_second: size,
  /** The agent answers when the check has ended, or after this long with how far it is. */
  wait_seconds: z.number().min(0).max(60),
})
export type VerifyBody = z.infer<typeof verifyBody>
export type Damage = {
  /** Name of the file, in the disk's folder. */
  file: string
  kind: 'missing' | 'manifest' | 'checksums' | 'structure' | 'data'
  /** Of the guest's disk, in bytes; null when it is not the guest's data. */
  offset_bytes: number | null
  length_bytes: number | null
  detail: string
}
export type VerifyState = {
  status: 'running' | 'done'
  done_bytes: number
  total_bytes: number
  /** The first 100. Empty when it is done: the file is as it was sealed. */
  damages: Damage[]
}

/** A sealed file, to be copied with its checksums and its manifest to the same place in another repository. */
export const copyBody = z.object({
  file: diskFile,
  to_repository_id: safeId,
  /** As the seal gave it. Null when that is not known. */
  manifest_digest: z.string().length(64).nullable(),
  /** Whether what is there already is written again, since it is damaged. */
  replace: z.boolean(),
  /** 0 = as fast as it goes. */
  bytes_per_second: size,
  /** The agent answers when the copy has ended, or after this long with how far it is. */
  wait_seconds: z.number().min(0).max(60),
})
export type CopyBody = z.infer<typeof copyBody>
export type CopyState = { status: 'running' | 'done'; done_bytes: number; total_bytes: number }

/** A restore point's file, to be merged into the one that builds on it, which then stands on what this one built on. */
export const mergeBody = z.object({
  disk: diskChain.omit({ bases: true }),
  base: safeId,
  into_base: safeId,
  /** What the file builds on, newest first; empty for a full. */
  below_bases: z.array(safeId).max(1000),
  /**
   * `check`: whether it could be done, nothing more. `prepare`: the long part, after which the first file is no restore point any more and the second
   * one reads as before. `finish`: the first file takes the second one's place.
   */
  step: z.enum(['check', 'prepare', 'finish']),
  /** What the second file holds, for the progress. */
  stored_bytes: size,
  /** The agent answers when the step has ended, or after this long with how far it is. */
  wait_seconds: z.number().min(0).max(60),
})
export type MergeBody = z.infer<typeof mergeBody>
export type MergeState = {
  status: 'running' | 'done'
  done_bytes: number
  total_bytes: number
  /** Of the merged file, once it is finished. */
  stored_bytes: number
}

/** Makes a sealed file immutable; what is locked for longer stays so. */
export const lockBody = z.object({ file: diskFile, until: z.iso.datetime() })
export type LockBody = z.infer<typeof lockBody>

/** As base64: of a key file of 64 KiB. */
const secretCharactersMax = 88_000
const secretsMax = 8
export const mountBody = z.object({
  vm_name: z.string().max(255),
  /** Of one restore point, each with its place among them all. */
  disks: z.array(diskChain).min(1).max(64),
  /** Whether the guest's system is looked for, and its files are shown as it saw them. */
  guest_view: z.boolean().default(false),
  /** What may open encrypted volumes, as base64. Kept in memory, as long as the mount is being opened. */
  secrets: z.array(z.string().max(secretCharactersMax)).max(secretsMax).default([]),
})
export type MountBody = z.input<typeof mountBody>
export type MountEndReason = 'user' | 'expired' | 'backup_deleted' | 'restart' | 'failed'
export const mountEndReasons = ['user', 'expired', 'backup_deleted', 'restart', 'failed'] as const
export type MountState = {
  mount_id: string
  status: 'mounting' | 'mounted' | 'unmounting'
  device: string | null
  mount_path: string
  filesystem_type: string | null
  default_partition: number | null
  partitions: Partition[]
  guest: GuestSystem | null
  created_at: string
  last_accessed_at: string
  expires_at: string
}
export type EndedMount = { mount_id: string; ended_at: string; reason: MountEndReason }

/** A path in a mount, as the bytes of its name. */
export const guestPath = z.object({
  partition: z.int().min(0).max(65535).optional(),
  path_b64: z.string().max(16_384),
})
export type GuestPath = z.infer<typeof guestPath>
export const listingBody = guestPath.extend({
  recursive: z.boolean(),
  limit: z.int().min(1).max(10_000),
  offset: z.int().min(0),
})
export type ListingBody = z.infer<typeof listingBody>
export type Listing = { partition: number; path: string; entries: Entry[]; total_count: number; truncated: boolean }
export const fileInfo = entry.extend({
  accessed_time: z.string(),
  created_time: z.string().nullable(),
  uid: z.int(),
  gid: z.int(),
  streams: z.array(z.string().max(1024)).max(1000),
  partition: z.int(),
  /** Changes with inode, size and time. */
  etag: z.string(),
  /** `YYYY…Z` at full seconds, for Last-Modified. */
  modified_http: z.string(),
})
export type FileInfo = z.infer<typeof fileInfo>
export const contentBody = guestPath.extend({ start: size, length: size, etag: z.string().max(200) })
export type ContentBody = z.infer<typeof contentBody>
/** Below a folder these alone, as base64 of their paths from there on; without them all. */
const only = z.array(z.string().max(5_500)).min(1).max(1000).optional()
export const archiveBody = guestPath.extend({
  format: z.enum(archiveFormats),
  checksums: z.boolean().default(false),
  only_b64: only,
})
export type ArchiveBody = z.input<typeof archiveBody>

/** One file of a restore point, for which nobody has mounted it. */
export const fetchBody = mountBody.extend({ volume: z.string().max(300), path_b64: z.string().max(16_384) })
/** Has the FileInfo of a fetched file, as base64 of its JSON. */
export const fileInfoHeader = 'x-file-info'
export type FetchBody = z.input<typeof fetchBody>

export const indexBody = mountBody.extend({
  /**
   * What this walk saw is kept under the machine and `at`, and only what has changed is told since the walk that was kept under `since`; of what is not kept any more, all is told.
   * Whoever gives a time answers for it that he knows the files by that walk. null: nothing is kept, and all is told.
   */
  walk: z.object({ vm_backup_context_id: safeId, at: size, since: size.nullable() }).nullable().default(null),
})
export type IndexBody = z.input<typeof indexBody>
export type IndexWalk = NonNullable<z.output<typeof indexBody>['walk']>

/** Name (its bytes where they are no text), kind (file, directory, link, other), size in bytes, time of the last change in microseconds since 1970. */
export type IndexedEntry = [name: string | { b64: string }, kind: 'f' | 'd' | 'l' | 'o', size: number, modified: number]
export type UnnamedEntry = [prefix: number, ...rest: TailOf<IndexedEntry>]
type TailOf<T extends unknown[]> = T extends [unknown, ...infer Tail] ? Tail : never
/**
 * Files of one folder. Its path has no slash at its end: the uppermost one is ''. A folder of very many entries is told in several lines, the one with its last slice last.
 */
export type IndexedFolder = {
  folder: string | { b64: string }
  /** The folder has 2^bits slices (index-slices.ts); told is of those from `from` to `to`. */
  bits: number
  from: number
  to: number
  /** null: `entries` are all that the slices have. Else they have the names that they had, so many of them are as they were, and `entries` are the others. */
  same: number | null
  entries: IndexedEntry[]
  /** Further ones of those, by the first 32 bits of the hashes of their names: who tells of them has not read the names. None where `same` is null. */
  unnamed: UnnamedEntry[]
}
/** A line of an index: a volume begins; a folder of it; all of it has been told. */
export type IndexLine = { volume: string } | IndexedFolder | { end: true }

/** Files of one volume of a restore point, whose contents are to be read. */
const digestPathsMax = 5000
export const digestBody = mountBody.extend({
  volume: z.string().max(300),
  paths_b64: z.array(z.string().max(16_384)).max(digestPathsMax),
})
export type DigestBody = z.input<typeof digestBody>
/** Of the path with that number: SHA-256 in hexadecimal digits. Lines may be empty, too. */
export type DigestLine = [at: number, sha256: string]

export type CleanupState = {
  running: boolean
  interval_seconds: number
  idle_seconds: number
  active_mount_count: number
  expired_mount_count: number
  last_cleanup: string | null
  total_cleanups: number
  last_error: string | null
}

/**
 * The agent's operations. All of them can be repeated. All throw HubError; every one can throw SERVICE_UNAVAILABLE when the
 * agent does not answer.
 */
export interface AgentApi {
  health(): Promise<AgentHealth>

  /** Makes a folder or a share known as a repository and measures it. REPOSITORY_TEST_FAILED when it can't be used. */
  ensureRepository(repositoryId: string, place: RepositoryPlace): Promise<RepositoryStorage>
  /** The same checks, nothing kept. */
  testRepository(place: RepositoryPlace, locks?: boolean): Promise<RepositoryStorage>
  /** REPOSITORY_NOT_FOUND, SERVICE_UNAVAILABLE when the storage does not answer. */
  repositoryStorage(repositoryId: string): Promise<RepositoryStorage>
  forgetRepository(repositoryId: string): Promise<void>

  /** Makes the file when it is new, and exports it. The same call again finds its own work. PORT_IN_USE, EXPORT_IN_USE, CHAIN_BROKEN, INSUFFICIENT_STORAGE, PATH_INVALID. */
  ensureExport(exportName: string, body: ExportBody): Promise<ExportState>
  listExports(): Promise<ExportState[]>
  /** EXPORT_NOT_FOUND. */
  getExport(exportName: string): Promise<ExportState>
  /** Stops writing, flushes, checks, makes checksums and manifest. Joins a seal that runs. EXPORT_NOT_FOUND. */
  sealExport(exportName: string, body: SealBody): Promise<ExportState>
  /** Ends the export. `deleteFile` also removes what it was writing; a sealed file only goes with it. Unknown: nothing to do. */
  dropExport(exportName: string, deleteFile: boolean): Promise<{ stopped_pid: number | null }>

  /** Looks at the files of a chain, in the order asked. */
  inspectChain(chain: DiskChain): Promise<FileCheck[]>
  /** Nobody changes or removes the file until then, this agent included. CHAIN_BROKEN when it is not sealed. */
  lockFile(body: LockBody): Promise<void>
  /** Removes one disk's file with its manifest and checksums, and emptied folders. A file already gone is no error. IMMUTABLE_RETENTION_ACTIVE. */
  deleteDiskFile(file: DiskFile): Promise<{ freed_bytes: number }>

  /** Checks the newest file of a chain. The same call again joins the check that runs, or takes the result of one that has ended. */
  verifyFile(body: VerifyBody): Promise<VerifyState>
  /** Ends a check. Unknown: nothing to do. */
  stopVerify(file: DiskFile): Promise<void>

  /**
   * Copies a sealed file into another repository, durably. The same call again joins the copy that runs, goes on with one that was cut off, or finds it
   * done. CHAIN_BROKEN when the source is not what was sealed, INSUFFICIENT_STORAGE.
   */
  copyFile(body: CopyBody): Promise<CopyState>
  /** Ends the copy into this file; what it has written is removed with deleteDiskFile. Unknown: nothing to do. */
  stopCopy(target: DiskFile): Promise<void>

  /**
   * Merges a file into the one that builds on it, in steps; each can be repeated. Whoever mounts or exports files of this disk ends a `prepare` that runs.
   * CHAIN_IN_USE while somebody does, CHAIN_BROKEN when the files are not parent and child, INSUFFICIENT_STORAGE.
   */
  mergeFile(body: MergeBody): Promise<MergeState>

  /** Attaches a chain read-only and mounts what it can. CHAIN_BROKEN, NO_MOUNTABLE_FILESYSTEM, RESTORE_SLOTS_EXHAUSTED. */
  ensureMount(mountId: string, body: MountBody): Promise<MountState>
  listMounts(): Promise<{ mounts: MountState[]; ended: EndedMount[] }>
  /** MOUNT_NOT_FOUND. Does not count as access. */
  getMount(mountId: string): Promise<MountState>
  /** Cuts running reads and frees everything. Unknown: nothing to do. */
  removeMount(mountId: string, reason: MountEndReason): Promise<void>

  /** The following count as access. MOUNT_NOT_FOUND, MOUNT_NOT_READY, PARTITION_NOT_FOUND, FILE_NOT_FOUND, PATH_FORBIDDEN, PATH_INVALID. */
  listFiles(mountId: string, body: ListingBody): Promise<Listing>
  fileInfo(mountId: string, path: GuestPath): Promise<FileInfo>
  /** Bytes of one regular file. IS_DIRECTORY, NOT_A_REGULAR_FILE. A stream that breaks is destroyed, never ended short. */
  readFile(mountId: string, body: ContentBody): Promise<Readable>
  /** NOT_A_DIRECTORY; FILE_NOT_FOUND for one of `only_b64`. */
  readArchive(mountId: string, body: ArchiveBody): Promise<Readable>

  /**
   * Every file of a restore point's volumes, as lines of JSON (IndexLine), without a mount that anybody sees. What does not end with `end` was cut off.
   */
  readIndex(body: IndexBody): Promise<Readable>
  /** Lines of JSON (DigestLine), one for each regular file that can be read; the last line is `"end"`. PARTITION_NOT_FOUND. */
  readDigests(body: DigestBody): Promise<Readable>
  /** One file of it, in the same way. FILE_NOT_FOUND, IS_DIRECTORY, NOT_A_REGULAR_FILE, PARTITION_NOT_FOUND. */
  fetchFile(body: FetchBody): Promise<{ info: FileInfo; content: Readable }>

  cleanupState(): Promise<CleanupState>

  /** Has the doctor look at everything, unless it is looking. SERVICE_UNAVAILABLE when there is none. */
  startExamination(): Promise<Examination>
  /** What it found last. */
  lastExamination(): Promise<Examination>
}
