/** Which VMs the site's flows protect, and when they run next. */
import { and, eq, min, sql } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import { protectionFlows, replicationSchedules, vmGroupMemberships, vmReplicationContexts } from '../schema/index.ts'
import { amongVms } from './among-vms.ts'

/** The condition that no enabled flow protects a VM, neither by itself nor by a group that it is an enabled member of. */
export const isUnprotected = sql`not exists (select 1 from ${protectionFlows} where ${protectionFlows.enabled} and (
  (${protectionFlows.targetType} = 'vm' and ${protectionFlows.targetId} = ${vmReplicationContexts.contextId})
  or (${protectionFlows.targetType} = 'group' and exists (
    select 1 from ${vmGroupMemberships} where ${vmGroupMemberships.groupId} = ${protectionFlows.targetId}
      and ${vmGroupMemberships.vmContextId} = ${vmReplicationContexts.contextId} and ${vmGroupMemberships.enabled}))))`

/** `nextRun`: null when no schedule drives any of its flows. */
type Protection = { nextRun: Date | null }
const nextRun = min(
  sql`case when ${replicationSchedules.enabled} then ${replicationSchedules.nextExecutionAt} end`,
).mapWith(replicationSchedules.nextExecutionAt)

/** Of the VMs that enabled flows protect, by context id. There may be more of them than were asked for. */
export const protectionOf = async (db: Executor, contextIds: string[]): Promise<Map<string, Protection>> => {
  if (contextIds.length === 0) return new Map()
  const [alone, inGroups] = await Promise.all([
    db
      .select({ contextId: protectionFlows.targetId, nextRun })
      .from(protectionFlows)
      .leftJoin(replicationSchedules, eq(replicationSchedules.id, protectionFlows.scheduleId))
      .where(
        and(
          eq(protectionFlows.enabled, true),
          eq(protectionFlows.targetType, 'vm'),
          amongVms(protectionFlows.targetId, contextIds),
        ),
      )
      .groupBy(protectionFlows.targetId),
    db
      .select({ contextId: vmGroupMemberships.vmContextId, nextRun })
      .from(protectionFlows)
      .innerJoin(vmGroupMemberships, eq(vmGroupMemberships.groupId, protectionFlows.targetId))
      .leftJoin(replicationSchedules, eq(replicationSchedules.id, protectionFlows.scheduleId))
      .where(
        and(
          eq(protectionFlows.enabled, true),
          eq(protectionFlows.targetType, 'group'),
          eq(vmGroupMemberships.enabled, true),
          amongVms(vmGroupMemberships.vmContextId, contextIds),
        ),
      )
      .groupBy(vmGroupMemberships.vmContextId),
  ])
  const protectedVms = new Map<string, Protection>()
  for (const { contextId, nextRun: at } of [...alone, ...inGroups]) {
    const known = protectedVms.get(contextId)?.nextRun ?? null
    protectedVms.set(contextId, { nextRun: known === null || (at !== null && at < known) ? at : known })
  }
  return protectedVms
}
