/** Backups as answers show them. */
import { inArray } from 'drizzle-orm'
import type { z } from 'zod'
import type { Backup, backupDisk } from '../../contract/api/backups.ts'
import { toGb } from '../../contract/names.ts'
import type { Executor } from '../database.ts'
import { backupRepositories } from '../schema/index.ts'
import { type DiskRow, type JobWithDisks, sum, typeOf } from './backups.ts'
import { iso } from './vms.ts'

export const toBackup = ({ job, disks }: JobWithDisks, repositoryName: string): Backup => {
  const single = disks.length === 1 ? disks[0] : undefined
  return {
    backup_id: job.id,
    vm_context_id: job.vmContextId,
    vm_backup_context_id: job.vmBackupContextId,
    vm_name: job.vmName,
    repository_id: job.repositoryId,
    repository_name: repositoryName,
    policy_id: job.policyId,
    parent_backup_id: job.parentBackupId,
    tags: job.tags ?? {},
    backup_type: typeOf(job),
    type: typeOf(job),
    status: job.status,
    current_phase: job.currentPhase,
    progress_percent: job.progressPercent,
    bytes_transferred: job.bytesTransferred,
    total_bytes: job.totalBytes,
    transfer_speed_bps: job.transferSpeedBps,
    eta_seconds: job.etaSeconds,
    last_telemetry_at: iso(job.lastTelemetryAt),
    error_message: job.errorMessage,
    disk_count: disks.length,
    disks_count: disks.length,
    total_size_gb: toGb(sum(disks, (disk) => disk.capacityBytes)),
    size_bytes: sum(disks, (disk) => disk.storedBytes),
    verify_state: job.verifyState,
    verified_at: iso(job.verifiedAt),
    protected: job.isProtected,
    locked_until: iso(job.lockedUntil),
    merging_into: job.mergingInto,
    created_at: job.createdAt.toISOString(),
    started_at: iso(job.startedAt),
    completed_at: iso(job.completedAt),
    change_id: single?.diskChangeId ?? null,
    file_path: single?.qcow2Path ?? null,
  }
}

export const toBackupDisk = (row: DiskRow): z.infer<typeof backupDisk> => ({
  id: row.id,
  backup_disk_id: row.id,
  backup_job_id: row.backupJobId,
  disk_index: row.diskIndex,
  disk_id: row.diskIndex,
  vmware_disk_key: row.vmwareDiskKey,
  label: row.label,
  original_path: row.originalPath,
  status: row.status,
  size_gb: toGb(row.capacityBytes),
  size_bytes: row.capacityBytes,
  stored_bytes: row.storedBytes,
  qcow2_path: row.qcow2Path,
  bytes_transferred: row.bytesTransferred,
  total_bytes: row.totalBytes,
  progress_percent: row.progressPercent,
  change_id: row.diskChangeId,
  error_message: row.errorMessage,
  created_at: row.createdAt.toISOString(),
  completed_at: iso(row.completedAt),
})

const repositoryNames = async (db: Executor, ids: string[]): Promise<Map<string, string>> =>
  new Map(
    ids.length === 0
      ? []
      : (
          await db
            .select({ id: backupRepositories.id, name: backupRepositories.name })
            .from(backupRepositories)
            .where(inArray(backupRepositories.id, [...new Set(ids)]))
        ).map(({ id, name }) => [id, name]),
  )

/** Backups as answers show them. */
export const toBackups = async (db: Executor, rows: JobWithDisks[]): Promise<Backup[]> => {
  const names = await repositoryNames(
    db,
    rows.map(({ job }) => job.repositoryId),
  )
  return rows.map((row) => toBackup(row, names.get(row.job.repositoryId) ?? ''))
}
