/** What changes while somebody looks: jobs, mounts, runs of flows and repositories, as live events show them. */
import { eq, gte, inArray, or } from 'drizzle-orm'
import { activeStatuses, isActive } from '../../contract/api/backups.ts'
import type { EventType } from '../../contract/api/events.ts'
import { activeExecutionStatuses } from '../../contract/api/protection-flows.ts'
import type { Executor } from '../database.ts'
import { backupJobs, backupRepositories, protectionFlowExecutions, protectionFlows } from '../schema/index.ts'
import { toExecution } from './flows.ts'
import { listMounts, toMount } from './mounts.ts'
import { usedPercent } from './repositories.ts'
import { iso } from './vms.ts'

export type Subject = {
  type: EventType
  id: string
  state: Record<string, unknown>
  /** It will not change any more; it is looked at for some time, so that its end is seen. */
  hasEnded: boolean
}

const jobs = async (db: Executor, endedSince: Date): Promise<Subject[]> =>
  (
    await db
      .select()
      .from(backupJobs)
      .where(or(inArray(backupJobs.status, [...activeStatuses]), gte(backupJobs.completedAt, endedSince)))
  ).map((job) => ({
    type: 'job',
    id: job.id,
    hasEnded: !isActive(job.status),
    state: {
      backup_id: job.id,
      vm_name: job.vmName,
      vm_context_id: job.vmContextId,
      repository_id: job.repositoryId,
      backup_type: job.backupType,
      status: job.status,
      current_phase: job.currentPhase,
      progress_percent: job.progressPercent,
      bytes_transferred: job.bytesTransferred,
      total_bytes: job.totalBytes,
      transfer_speed_bps: job.transferSpeedBps,
      eta_seconds: job.etaSeconds,
      last_telemetry_at: iso(job.lastTelemetryAt),
      error_message: job.errorMessage,
      completed_at: iso(job.completedAt),
    },
  }))

const mounts = async (db: Executor): Promise<Subject[]> =>
  (await listMounts(db)).map((row) => {
    const { mount_id, backup_id, disk_index, vm_name, status, filesystem_type, created_at } = toMount(row)
    return {
      type: 'mount',
      id: mount_id,
      hasEnded: false,
      state: { mount_id, backup_id, disk_index, vm_name, status, filesystem_type, created_at },
    }
  })

const executions = async (db: Executor, endedSince: Date): Promise<Subject[]> =>
  (
    await db
      .select({ run: protectionFlowExecutions, name: protectionFlows.name })
      .from(protectionFlowExecutions)
      .innerJoin(protectionFlows, eq(protectionFlows.id, protectionFlowExecutions.flowId))
      .where(
        or(
          inArray(protectionFlowExecutions.status, [...activeExecutionStatuses]),
          gte(protectionFlowExecutions.completedAt, endedSince),
        ),
      )
  ).map(({ run, name }) => ({
    type: 'execution',
    id: run.id,
    hasEnded: run.completedAt !== null,
    state: toExecution(run, name),
  }))

const repositories = async (db: Executor): Promise<Subject[]> =>
  (await db.select().from(backupRepositories)).map((row) => ({
    type: 'repository',
    id: row.id,
    hasEnded: false,
    state: {
      id: row.id,
      name: row.name,
      type: row.repositoryType,
      enabled: row.enabled,
      total_bytes: row.totalSizeBytes,
      used_bytes: row.usedSizeBytes,
      available_bytes: row.availableSizeBytes,
      used_percent: usedPercent(row.usedSizeBytes, row.totalSizeBytes),
      last_check_at: iso(row.lastCheckAt),
    },
  }))

/** @param endedSince what ended before is left out */
export const liveSubjects = async (db: Executor, endedSince: Date): Promise<Subject[]> =>
  (await Promise.all([jobs(db, endedSince), mounts(db), executions(db, endedSince), repositories(db)])).flat()
