import { and, count, desc, eq, inArray, lt, sql } from 'drizzle-orm'
import type { MountEndReason, MountState } from '../../contract/agent.ts'
import type { Paging } from '../../contract/api/common.ts'
import type { Mount } from '../../contract/api/restore.ts'
import type { Executor } from '../database.ts'
import { prepared } from '../prepared.ts'
import { backupDisks, backupJobs, restoreMountHistory, restoreMounts } from '../schema/index.ts'

export type MountRow = typeof restoreMounts.$inferSelect
/** A mount's row with what it is a mount of. */
export type MountWithBackup = { mount: MountRow; backupId: string; vmName: string; diskIndex: number }

const joined = (db: Executor) =>
  db
    .select({
      mount: restoreMounts,
      backupId: backupDisks.backupJobId,
      vmName: backupJobs.vmName,
      diskIndex: backupDisks.diskIndex,
    })
    .from(restoreMounts)
    .innerJoin(backupDisks, eq(backupDisks.id, restoreMounts.backupDiskId))
    .innerJoin(backupJobs, eq(backupJobs.id, backupDisks.backupJobId))

const mountById = prepared((db) =>
  joined(db)
    .where(eq(restoreMounts.id, sql.placeholder('id')))
    .prepare(),
)
export const findMount = async (db: Executor, id: string): Promise<MountWithBackup | undefined> =>
  (await mountById(db).execute({ id }))[0]
export const findMountOfDisk = async (db: Executor, backupDiskId: number): Promise<MountRow | undefined> =>
  (await db.select().from(restoreMounts).where(eq(restoreMounts.backupDiskId, backupDiskId)))[0]
export const mountsOfBackups = (db: Executor, backupIds: string[]): Promise<MountWithBackup[]> =>
  backupIds.length === 0 ? Promise.resolve([]) : joined(db).where(inArray(backupDisks.backupJobId, backupIds))

/** Newest first. */
export const listMounts = (db: Executor, { limit = 1_000_000, offset = 0 }: Paging = {}): Promise<MountWithBackup[]> =>
  joined(db).orderBy(desc(restoreMounts.createdAt), desc(restoreMounts.id)).limit(limit).offset(offset)
export const countMounts = async (db: Executor): Promise<number> =>
  (await db.select({ rows: count() }).from(restoreMounts))[0]?.rows ?? 0

/** Stores a mount that is about to be made. @returns its row */
export const insertMount = async (
  db: Executor,
  values: Pick<MountRow, 'id' | 'backupDiskId' | 'allDisks' | 'createdAt' | 'expiresAt'>,
): Promise<MountRow> => {
  const row: MountRow = {
    ...values,
    status: 'mounting',
    mountMode: 'read-only',
    lastAccessedAt: values.createdAt,
    repositoryId: null,
    mountPath: null,
    nbdDevice: null,
    filesystemType: null,
    errorMessage: null,
    partitionMetadata: null,
    guest: null,
    unmountedAt: null,
  }
  await db.insert(restoreMounts).values(row)
  return row
}
export const deleteMount = (db: Executor, id: string) => db.delete(restoreMounts).where(eq(restoreMounts.id, id))

/** Takes over what the agent says of a mount. */
/** @param copyIn the repository of the copy that it is read from; null: it is read from the backup itself */
export const storeMountState = (db: Executor, id: string, state: MountState, copyIn?: string | null) =>
  db
    .update(restoreMounts)
    .set({
      status: state.status,
      ...(copyIn === undefined ? {} : { repositoryId: copyIn }),
      mountPath: state.mount_path,
      nbdDevice: state.device,
      filesystemType: state.filesystem_type,
      partitionMetadata: state.partitions,
      guest: state.guest,
      lastAccessedAt: new Date(state.last_accessed_at),
      expiresAt: new Date(state.expires_at),
    })
    .where(eq(restoreMounts.id, id))

/** Moves a mount's row to the history, in one transaction of the caller. */
export const endMount = async (
  tx: Executor,
  { mount, backupId, diskIndex }: MountWithBackup,
  reason: MountEndReason,
  at: Date,
) => {
  await tx.insert(restoreMountHistory).ignore().values({ id: mount.id, backupId, diskIndex, endedAt: at, reason })
  await deleteMount(tx, mount.id)
}
export const wasMount = async (db: Executor, id: string): Promise<boolean> =>
  (await db.select({ id: restoreMountHistory.id }).from(restoreMountHistory).where(eq(restoreMountHistory.id, id)))
    .length > 0
export const forgetEndedMounts = (db: Executor, before: Date) =>
  db.delete(restoreMountHistory).where(and(lt(restoreMountHistory.endedAt, before)))

/** @param state the agent's, which knows times and partitions best; without it the row's */
export const toMount = ({ mount, backupId, vmName, diskIndex }: MountWithBackup, state?: MountState): Mount => {
  const partitions = state?.partitions ?? mount.partitionMetadata ?? []
  const created = mount.createdAt.toISOString()
  return {
    mount_id: mount.id,
    backup_id: backupId,
    backup_disk_id: mount.backupDiskId,
    disk_index: diskIndex,
    vm_name: vmName,
    all_disks: mount.allDisks,
    copy_repository_id: mount.repositoryId,
    mount_path: state?.mount_path ?? mount.mountPath,
    nbd_device: state?.device ?? mount.nbdDevice,
    filesystem_type: state?.filesystem_type ?? mount.filesystemType,
    mount_mode: 'read-only',
    status: state?.status ?? mount.status,
    default_partition: partitions.find(({ is_default }) => is_default)?.number ?? null,
    guest: state?.guest ?? mount.guest ?? null,
    partitions,
    partition_metadata: JSON.stringify(partitions),
    created_at: created,
    last_accessed_at: state?.last_accessed_at ?? mount.lastAccessedAt?.toISOString() ?? created,
    expires_at: state?.expires_at ?? mount.expiresAt?.toISOString() ?? created,
    error_message: mount.errorMessage,
  }
}
