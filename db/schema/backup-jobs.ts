import {
  type AnyMySqlColumn,
  decimal,
  index,
  int,
  json,
  mysqlEnum,
  mysqlTable,
  text,
  varchar,
} from 'drizzle-orm/mysql-core'
import { backupPolicies } from './backup-policies.ts'
import { backupRepositories } from './backup-repositories.ts'
import { big, createdAt, flag, id64, text255, time } from './columns.ts'
import { vmBackupContexts } from './vm-backup-contexts.ts'
import { vmReplicationContexts } from './vm-replication-contexts.ts'

/** One run of the backup of a VM: a restore point once it is completed. */
export const backupJobs = mysqlTable(
  'backup_jobs',
  {
    id: id64().primaryKey(),
    vmBackupContextId: id64()
      .notNull()
      .references(() => vmBackupContexts.contextId, { onDelete: 'cascade' }),
    /** Null when the VM is no longer managed: its backups outlive it. */
    vmContextId: id64().references(() => vmReplicationContexts.contextId, { onDelete: 'set null' }),
    repositoryId: id64()
      .notNull()
      .references(() => backupRepositories.id, { onDelete: 'restrict' }),
    policyId: id64().references(() => backupPolicies.id, { onDelete: 'set null' }),
    parentBackupId: id64().references((): AnyMySqlColumn => backupJobs.id, { onDelete: 'set null' }),
    /** What it was made for, when a flow began it (protection_flow_jobs). */
    flowJobId: id64(),
    vmName: text255().notNull(),
    backupType: mysqlEnum(['full', 'incremental', 'differential']).notNull(),
    status: mysqlEnum(['started', 'in_progress', 'completed', 'failed', 'cancelled', 'stalled'])
      .notNull()
      .default('started'),
    /** `{vm_backup_context_id}` while the job is active, NULL once it has ended: at most one active job a VM and repository. */
    activeSlot: id64().unique('backup_jobs_active_slot_unique'),
    /** True while files, ports or exports of an ended job may still be there; reconcile finishes the work. */
    cleanupPending: flag(false),
    repositoryPath: varchar({ length: 512 }).notNull(),
    bytesTransferred: big().notNull().default(0),
    totalBytes: big().notNull().default(0),
    compressionEnabled: flag(true),
    errorMessage: text(),
    currentPhase: varchar({ length: 50 }).notNull().default('pending'),
    transferSpeedBps: big().notNull().default(0),
    etaSeconds: int(),
    progressPercent: decimal({ precision: 5, scale: 2, mode: 'number' }).notNull().default(0),
    lastTelemetryAt: time(),
    lastTelemetrySentAt: time(),
    /** What the last check of its files found, or of a file that it builds on. A damaged backup is never restored or built on. */
    verifyState: mysqlEnum(['unverified', 'verified', 'damaged']).notNull().default('unverified'),
    verifiedAt: time(),
    /** The backup that builds on it and takes its place: no rule keeps this one any more. It is no restore point from here on. */
    mergingInto: id64(),
    /** Kept whatever a policy says. */
    isProtected: flag(false),
    /** Until when its files are immutable; null: they are not. */
    lockedUntil: time(),
    tags: json().$type<Record<string, string>>(),
    diskId: int(),
    changeId: text255(),
    startedAt: time(),
    completedAt: time(),
    createdAt: createdAt(),
  },
  (table) => [
    index('backup_jobs_status').on(table.status),
    // With the status: days are counted from the index alone.
    index('backup_jobs_began').on(table.createdAt, table.status),
    index('backup_jobs_telemetry').on(table.status, table.lastTelemetryAt),
    // Lists are newest first; the id breaks ties, so the index alone gives a page.
    index('backup_jobs_vm_list').on(table.vmName, table.createdAt, table.id),
    index('backup_jobs_context_list').on(table.vmBackupContextId, table.createdAt, table.id),
    // With all that a list of VMs says of each one's newest backup: 5 000 rows of a million are read from the index alone.
    index('backup_jobs_managed').on(
      table.vmContextId,
      table.createdAt,
      table.id,
      table.backupType,
      table.status,
      table.completedAt,
    ),
    index('backup_jobs_cleanup').on(table.cleanupPending),
    index('backup_jobs_flow').on(table.flowJobId),
    index('backup_jobs_merging').on(table.mergingInto),
    // Live events ask for what has just ended, twice a second.
    index('backup_jobs_completed').on(table.completedAt),
    index('backup_jobs_verified').on(table.status, table.verifiedAt),
    index('backup_jobs_verify_state').on(table.verifyState, table.verifiedAt),
  ],
)
