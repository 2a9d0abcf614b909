/** Managed VMs, their disks and their groups. */
import { and, asc, count, desc, eq, inArray, like, max, not, notExists, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Paging } from '../../contract/api/common.ts'
import type { context, VmSort, vmDisk, vmStatuses } from '../../contract/api/vm-contexts.ts'
import { diskKey, toGb } from '../../contract/names.ts'
import type { Executor } from '../database.ts'
import {
  backupJobs,
  osseaConfigs,
  vmBackupContexts,
  vmDisks,
  vmGroupMemberships,
  vmMachineGroups,
  vmReplicationContexts,
} from '../schema/index.ts'
import { amongVms } from './among-vms.ts'
import { isUnprotected } from './protection.ts'

export type VmRow = typeof vmReplicationContexts.$inferSelect
export type VmDiskRow = typeof vmDisks.$inferSelect
type Context = z.infer<typeof context>

export const iso = (at: Date | null) => at?.toISOString() ?? null
/** `%` and `_` in what a user searches for mean themselves. */
export const contains = (text: string) => `%${text.replace(/[\\%_]/g, '\\$&')}%`

const powerStates = ['poweredOn', 'poweredOff', 'suspended'] as const
const powerState = (text: string | null) => powerStates.find((state) => state === text) ?? null

type Group = Context['groups'][number]
export const toContext = (row: VmRow, groups: Group[]): Context => ({
  context_id: row.contextId,
  vm_name: row.vmName,
  vmware_vm_id: row.vmwareVmId,
  vm_path: row.vmPath,
  vcenter_host: row.vcenterHost,
  datacenter: row.datacenter,
  current_status: row.currentStatus,
  current_job_id: row.currentJobId,
  total_jobs_run: row.totalJobsRun,
  successful_jobs: row.successfulJobs,
  failed_jobs: row.failedJobs,
  last_successful_job_id: row.lastSuccessfulJobId,
  cpu_count: row.cpuCount,
  memory_mb: row.memoryMb,
  os_type: row.osType,
  power_state: powerState(row.powerState),
  vm_tools_version: row.vmToolsVersion,
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
  first_job_at: iso(row.firstJobAt),
  last_job_at: iso(row.lastJobAt),
  last_status_change: iso(row.lastStatusChange),
  auto_added: row.autoAdded,
  last_scheduled_job_id: row.lastScheduledJobId,
  next_scheduled_at: iso(row.nextScheduledAt),
  scheduler_enabled: row.schedulerEnabled,
  ossea_config_id: row.osseaConfigId,
  credential_id: row.credentialId,
  last_operation_summary: row.lastOperationSummary ?? null,
  groups,
  group_count: groups.length,
})

export const toVmDisk = (row: VmDiskRow): z.infer<typeof vmDisk> => ({
  disk_index: row.diskIndex,
  disk_id: row.diskId,
  vmware_disk_key: diskKey(row.diskIndex),
  label: row.label,
  size_gb: toGb(row.capacityBytes),
  capacity_bytes: row.capacityBytes,
  datastore: row.datastore,
  path: row.vmdkPath,
  vmdk_path: row.vmdkPath,
  provisioning_type: row.provisioningType,
  unit_number: row.unitNumber,
  disk_change_id: row.diskChangeId,
})

/** Groups of several VMs at once, by context id. There may be more of them than were asked for. */
export const groupsOf = async (db: Executor, contextIds: string[]): Promise<Map<string, Group[]>> => {
  const groups = new Map<string, Group[]>()
  if (contextIds.length === 0) return groups
  const rows = await db
    .select({
      contextId: vmGroupMemberships.vmContextId,
      id: vmMachineGroups.id,
      name: vmMachineGroups.name,
      priority: vmGroupMemberships.priority,
      enabled: vmGroupMemberships.enabled,
    })
    .from(vmGroupMemberships)
    .innerJoin(vmMachineGroups, eq(vmMachineGroups.id, vmGroupMemberships.groupId))
    .where(amongVms(vmGroupMemberships.vmContextId, contextIds))
    .orderBy(asc(vmMachineGroups.name))
  for (const { contextId, id, name, priority, enabled } of rows) {
    const known = groups.get(contextId) ?? []
    known.push({ group_id: id, group_name: name, priority, enabled })
    groups.set(contextId, known)
  }
  return groups
}

export const withGroups = async (db: Executor, row: VmRow): Promise<Context> =>
  toContext(row, (await groupsOf(db, [row.contextId])).get(row.contextId) ?? [])

export type VmFilter = {
  search?: string | undefined
  status?: (typeof vmStatuses)[number] | undefined
  autoAdded?: boolean | undefined
  /** Whether an enabled flow protects them. */
  isProtected?: boolean | undefined
  sort?: VmSort | undefined
}
const sortColumns = {
  vm_name: vmReplicationContexts.vmName,
  current_status: vmReplicationContexts.currentStatus,
  cpu_count: vmReplicationContexts.cpuCount,
  memory_mb: vmReplicationContexts.memoryMb,
  last_job_at: vmReplicationContexts.lastJobAt,
  created_at: vmReplicationContexts.createdAt,
}
const orderOf = (sort: VmSort = 'vm_name') => {
  const column = sortColumns[sort.replace(/^-/, '') as keyof typeof sortColumns]
  return sort.startsWith('-') ? desc(column) : asc(column)
}

export const listVms = async (
  db: Executor,
  filter: VmFilter,
  { limit, offset }: Paging,
): Promise<{ rows: VmRow[]; total: number }> => {
  const where = and(
    filter.search === undefined ? undefined : like(vmReplicationContexts.vmName, contains(filter.search)),
    filter.status === undefined ? undefined : eq(vmReplicationContexts.currentStatus, filter.status),
    filter.autoAdded === undefined ? undefined : eq(vmReplicationContexts.autoAdded, filter.autoAdded),
    filter.isProtected === undefined ? undefined : filter.isProtected ? not(isUnprotected) : isUnprotected,
  )
  const [counted] = await db.select({ total: count() }).from(vmReplicationContexts).where(where)
  const rows = await db
    .select()
    .from(vmReplicationContexts)
    .where(where)
    .orderBy(orderOf(filter.sort), asc(vmReplicationContexts.contextId))
    .limit(limit ?? 1_000_000)
    .offset(offset ?? 0)
  return { rows, total: counted?.total ?? 0 }
}

/** VMs with this name: one in each vCenter at most. The collation ignores case, a VM's name does not. */
export const findVmsByName = async (db: Executor, vmName: string): Promise<VmRow[]> =>
  (await db.select().from(vmReplicationContexts).where(eq(vmReplicationContexts.vmName, vmName))).filter(
    (row) => row.vmName === vmName,
  )

/** By either kind of context id. */
export const findVmByContextId = async (db: Executor, contextId: string): Promise<VmRow | undefined> => {
  const [row] = await db.select().from(vmReplicationContexts).where(eq(vmReplicationContexts.contextId, contextId))
  if (row) return row
  const [viaBackups] = await db
    .select({ vm: vmReplicationContexts })
    .from(vmBackupContexts)
    .innerJoin(
      vmReplicationContexts,
      and(
        eq(vmReplicationContexts.vmName, vmBackupContexts.vmName),
        eq(vmReplicationContexts.vcenterHost, vmBackupContexts.vcenterHost),
      ),
    )
    .where(eq(vmBackupContexts.contextId, contextId))
  return viaBackups?.vm
}

export const disksOf = (db: Executor, contextId: string): Promise<VmDiskRow[]> =>
  db.select().from(vmDisks).where(eq(vmDisks.vmContextId, contextId)).orderBy(asc(vmDisks.diskIndex))

export const diskCounts = async (db: Executor, contextIds: string[]): Promise<Map<string, number>> => {
  if (contextIds.length === 0) return new Map()
  const rows = await db
    .select({ contextId: vmDisks.vmContextId, disks: count() })
    .from(vmDisks)
    .where(amongVms(vmDisks.vmContextId, contextIds))
    .groupBy(vmDisks.vmContextId)
  return new Map(rows.map(({ contextId, disks }) => [contextId, disks]))
}

type LastBackup = { backup_id: string; backup_type: string; status: string; completed_at: string | null }
/** The newest backup of each VM, whatever became of it. */
export const lastBackups = async (db: Executor, contextIds: string[]): Promise<Map<string, LastBackup>> => {
  if (contextIds.length === 0) return new Map()
  // One look into the index a VM.
  const newest = db
    .select({ contextId: backupJobs.vmContextId, at: max(backupJobs.createdAt).as('at') })
    .from(backupJobs)
    .where(amongVms(backupJobs.vmContextId, contextIds))
    .groupBy(backupJobs.vmContextId)
    .as('newest')
  const rows = await db
    .select({
      contextId: newest.contextId,
      id: backupJobs.id,
      type: backupJobs.backupType,
      status: backupJobs.status,
      completedAt: backupJobs.completedAt,
    })
    .from(newest)
    .innerJoin(backupJobs, and(eq(backupJobs.vmContextId, newest.contextId), eq(backupJobs.createdAt, newest.at)))
    // Of two in one millisecond the greater id is the newer one: it comes last and stays.
    .orderBy(asc(backupJobs.id))
  return new Map(
    rows.map(({ contextId, id, type, status, completedAt }) => [
      contextId!,
      { backup_id: id, backup_type: type, status, completed_at: iso(completedAt) },
    ]),
  )
}

/** VMs that are in no group. */
export const listUngrouped = async (
  db: Executor,
  { limit, offset }: Paging,
): Promise<{ rows: VmRow[]; total: number }> => {
  const where = notExists(
    db
      .select({ one: sql`1` })
      .from(vmGroupMemberships)
      .where(eq(vmGroupMemberships.vmContextId, vmReplicationContexts.contextId)),
  )
  const [counted] = await db.select({ total: count() }).from(vmReplicationContexts).where(where)
  const rows = await db
    .select()
    .from(vmReplicationContexts)
    .where(where)
    .orderBy(desc(vmReplicationContexts.createdAt), asc(vmReplicationContexts.contextId))
    .limit(limit ?? 1_000_000)
    .offset(offset ?? 0)
  return { rows, total: counted?.total ?? 0 }
}

/** The managed VM that a source's VM is: by the source's own id, else by name, within one vCenter. */
export const findManaged = async (
  db: Executor,
  vcenterHost: string,
  vm: { id: string; name: string },
): Promise<VmRow | undefined> => {
  const rows = await db
    .select()
    .from(vmReplicationContexts)
    .where(
      and(
        eq(vmReplicationContexts.vcenterHost, vcenterHost),
        or(eq(vmReplicationContexts.vmwareVmId, vm.id), eq(vmReplicationContexts.vmName, vm.name)),
      ),
    )
  return rows.find((row) => row.vmwareVmId === vm.id) ?? rows.find((row) => row.vmName === vm.name)
}

export const insertVm = (db: Executor, vm: typeof vmReplicationContexts.$inferInsert) =>
  db.insert(vmReplicationContexts).values(vm)
export const updateVm = (db: Executor, contextId: string, change: Partial<typeof vmReplicationContexts.$inferInsert>) =>
  db.update(vmReplicationContexts).set(change).where(eq(vmReplicationContexts.contextId, contextId))

/** Makes the stored disks those that discovery saw: rows are updated in place, those of disks that are gone are removed. */
export const replaceDisks = async (db: Executor, contextId: string, disks: (typeof vmDisks.$inferInsert)[]) => {
  const known = await disksOf(db, contextId)
  for (const disk of disks) {
    const row = known.find(({ diskIndex }) => diskIndex === disk.diskIndex)
    if (row) await db.update(vmDisks).set(disk).where(eq(vmDisks.id, row.id))
    else await db.insert(vmDisks).values(disk)
  }
  const gone = known.filter(({ diskIndex }) => !disks.some((disk) => disk.diskIndex === diskIndex))
  if (gone.length > 0)
    await db.delete(vmDisks).where(
      inArray(
        vmDisks.id,
        gone.map(({ id }) => id),
      ),
    )
}

export const activeOsseaConfigId = async (db: Executor): Promise<number | null> =>
  (
    await db
      .select({ id: osseaConfigs.id })
      .from(osseaConfigs)
      .where(eq(osseaConfigs.isActive, true))
      .orderBy(asc(osseaConfigs.id))
      .limit(1)
  )[0]?.id ?? null
