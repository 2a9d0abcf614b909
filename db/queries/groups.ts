/** Machine groups and their members. */
import { and, asc, count, eq, inArray, max, sql, sum } from 'drizzle-orm'
import type { z } from 'zod'
import { activeStatuses } from '../../contract/api/backups.ts'
import type { group, membership } from '../../contract/api/machine-groups.ts'
import type { Executor } from '../database.ts'
import {
  backupJobs,
  protectionFlows,
  replicationSchedules,
  vmGroupMemberships,
  vmMachineGroups,
  vmReplicationContexts,
} from '../schema/index.ts'
import { iso, type VmRow } from './vms.ts'

type GroupAnswer = z.infer<typeof group>
export type GroupRow = typeof vmMachineGroups.$inferSelect
export type MembershipRow = typeof vmGroupMemberships.$inferSelect
export type Member = { membership: MembershipRow; vm: VmRow }

export const findGroup = async (db: Executor, id: string): Promise<GroupRow | undefined> =>
  (await db.select().from(vmMachineGroups).where(eq(vmMachineGroups.id, id)))[0]

/** Groups with their figures, by priority and name. */
export const showGroups = async (
  db: Executor,
  filter: { id?: string; scheduleId?: string | undefined } = {},
): Promise<GroupAnswer[]> => {
  const rows = await db
    .select({ row: vmMachineGroups, scheduleName: replicationSchedules.name })
    .from(vmMachineGroups)
    .leftJoin(replicationSchedules, eq(replicationSchedules.id, vmMachineGroups.scheduleId))
    .where(
      and(
        filter.id === undefined ? undefined : eq(vmMachineGroups.id, filter.id),
        filter.scheduleId === undefined ? undefined : eq(vmMachineGroups.scheduleId, filter.scheduleId),
      ),
    )
    .orderBy(asc(vmMachineGroups.priority), asc(vmMachineGroups.name))
  const ids = rows.map(({ row }) => row.id)
  if (ids.length === 0) return []
  const members = await db
    .select({ id: vmGroupMemberships.groupId, all: count(), enabled: sum(vmGroupMemberships.enabled) })
    .from(vmGroupMemberships)
    .where(inArray(vmGroupMemberships.groupId, ids))
    .groupBy(vmGroupMemberships.groupId)
  const active = await db
    .select({ id: vmGroupMemberships.groupId, jobs: count() })
    .from(vmGroupMemberships)
    .innerJoin(backupJobs, eq(backupJobs.vmContextId, vmGroupMemberships.vmContextId))
    .where(and(inArray(vmGroupMemberships.groupId, ids), inArray(backupJobs.status, [...activeStatuses])))
    .groupBy(vmGroupMemberships.groupId)
  const runs = await db
    .select({ id: protectionFlows.targetId, at: max(protectionFlows.lastExecutionTime) })
    .from(protectionFlows)
    .where(and(eq(protectionFlows.targetType, 'group'), inArray(protectionFlows.targetId, ids)))
    .groupBy(protectionFlows.targetId)
  return rows.map(({ row, scheduleName }) => {
    const counted = members.find(({ id }) => id === row.id)
    const [total, enabled] = [counted?.all ?? 0, Number(counted?.enabled ?? 0)]
    return {
      id: row.id,
      name: row.name,
      description: row.description,
      schedule_id: row.scheduleId,
      schedule_name: scheduleName,
      max_concurrent_vms: row.maxConcurrentVms,
      priority: row.priority,
      total_vms: total,
      enabled_vms: enabled,
      disabled_vms: total - enabled,
      active_jobs: active.find(({ id }) => id === row.id)?.jobs ?? 0,
      last_execution: iso(runs.find(({ id }) => id === row.id)?.at ?? null),
      created_by: row.createdBy,
      created_at: row.createdAt.toISOString(),
      updated_at: row.updatedAt.toISOString(),
    }
  })
}

/** Throws ER_DUP_ENTRY when the name is taken. */
export const insertGroup = (db: Executor, values: typeof vmMachineGroups.$inferInsert) =>
  db.insert(vmMachineGroups).values(values)
export const updateGroup = (db: Executor, id: string, change: Partial<typeof vmMachineGroups.$inferInsert>) =>
  db
    .update(vmMachineGroups)
    .set({ ...change, updatedAt: sql`CURRENT_TIMESTAMP(3)` })
    .where(eq(vmMachineGroups.id, id))
export const deleteGroup = (db: Executor, id: string) => db.delete(vmMachineGroups).where(eq(vmMachineGroups.id, id))

/** Names of the flows that protect a group. */
export const flowsOfGroup = async (db: Executor, id: string): Promise<string[]> =>
  (
    await db
      .select({ name: protectionFlows.name })
      .from(protectionFlows)
      .where(and(eq(protectionFlows.targetType, 'group'), eq(protectionFlows.targetId, id)))
  ).map(({ name }) => name)
export const groupsOfSchedule = (db: Executor, scheduleId: string): Promise<GroupRow[]> =>
  db
    .select()
    .from(vmMachineGroups)
    .where(eq(vmMachineGroups.scheduleId, scheduleId))
    .orderBy(asc(vmMachineGroups.priority), asc(vmMachineGroups.name))

export const toMembership = ({ membership: row, vm }: Member): z.infer<typeof membership> => ({
  id: row.id,
  vm_context_id: row.vmContextId,
  vm_name: vm.vmName,
  priority: row.priority,
  enabled: row.enabled,
  schedule_override_id: row.scheduleOverrideId,
  added_at: (row.addedAt ?? row.createdAt).toISOString(),
  added_by: row.addedBy,
})

/** By priority and name: the order in which they run. */
export const membersOf = (db: Executor, groupId: string): Promise<Member[]> =>
  db
    .select({ membership: vmGroupMemberships, vm: vmReplicationContexts })
    .from(vmGroupMemberships)
    .innerJoin(vmReplicationContexts, eq(vmReplicationContexts.contextId, vmGroupMemberships.vmContextId))
    .where(eq(vmGroupMemberships.groupId, groupId))
    .orderBy(asc(vmGroupMemberships.priority), asc(vmReplicationContexts.vmName), asc(vmReplicationContexts.contextId))
export const countMembers = async (db: Executor, groupId: string): Promise<number> =>
  (await db.select({ members: count() }).from(vmGroupMemberships).where(eq(vmGroupMemberships.groupId, groupId)))[0]
    ?.members ?? 0

const pair = (groupId: string, vmContextId: string) =>
  and(eq(vmGroupMemberships.groupId, groupId), eq(vmGroupMemberships.vmContextId, vmContextId))
export const findMembership = async (db: Executor, groupId: string, vmContextId: string): Promise<Member | undefined> =>
  (
    await db
      .select({ membership: vmGroupMemberships, vm: vmReplicationContexts })
      .from(vmGroupMemberships)
      .innerJoin(vmReplicationContexts, eq(vmReplicationContexts.contextId, vmGroupMemberships.vmContextId))
      .where(pair(groupId, vmContextId))
  )[0]
/** Throws ER_DUP_ENTRY when the VM is in the group already. */
export const insertMembership = (db: Executor, values: typeof vmGroupMemberships.$inferInsert) =>
  db.insert(vmGroupMemberships).values(values)
export const updateMembership = (
  db: Executor,
  groupId: string,
  vmContextId: string,
  change: { priority?: number | undefined; enabled?: boolean | undefined },
) => db.update(vmGroupMemberships).set(change).where(pair(groupId, vmContextId))
/** @returns whether the VM was in the group */
export const deleteMembership = async (db: Executor, groupId: string, vmContextId: string): Promise<boolean> => {
  const [result] = await db.delete(vmGroupMemberships).where(pair(groupId, vmContextId))
  return result.affectedRows > 0
}
