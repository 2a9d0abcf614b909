/** Figures for monitoring: few queries, however large the site is. */
import { and, count, eq, isNull, max, sum } from 'drizzle-orm'
import type { Executor } from '../database.ts'
import {
  backupCopies,
  backupDisks,
  backupJobs,
  backupRepositories,
  nbdPortAllocations,
  protectionFlows,
  restoreMounts,
  scheduleExecutions,
  vmReplicationContexts,
} from '../schema/index.ts'
import { isUnprotected } from './protection.ts'

/** The last completed backup of each managed VM; null where there is none. */
export const lastGoodBackups = async (db: Executor) => {
  const newest = db
    .select({ vmContextId: backupJobs.vmContextId, at: max(backupJobs.completedAt).as('at') })
    .from(backupJobs)
    .where(eq(backupJobs.status, 'completed'))
    .groupBy(backupJobs.vmContextId)
    .as('newest')
  const rows = await db
    .select({
      vmName: vmReplicationContexts.vmName,
      vcenterHost: vmReplicationContexts.vcenterHost,
      completedAt: backupJobs.completedAt,
      startedAt: backupJobs.startedAt,
      storedBytes: sum(backupDisks.storedBytes),
    })
    .from(vmReplicationContexts)
    .leftJoin(newest, eq(newest.vmContextId, vmReplicationContexts.contextId))
    .leftJoin(
      backupJobs,
      and(
        eq(backupJobs.vmContextId, vmReplicationContexts.contextId),
        eq(backupJobs.completedAt, newest.at),
        eq(backupJobs.status, 'completed'),
      ),
    )
    .leftJoin(backupDisks, eq(backupDisks.backupJobId, backupJobs.id))
    .groupBy(vmReplicationContexts.contextId)
  return rows.map(({ storedBytes, ...row }) => ({ ...row, storedBytes: Number(storedBytes ?? 0) }))
}

/** VMs that no enabled flow protects, neither by itself nor by a group that it is an enabled member of. */
export const countUnprotectedVms = async (db: Executor): Promise<number> => {
  const [row] = await db.select({ vms: count() }).from(vmReplicationContexts).where(isUnprotected)
  return row?.vms ?? 0
}

/** Numbers of rows by what they are. */
export const countByState = async (db: Executor) => {
  const [backups, copies, flows, runs, mounts, ports, repositories] = await Promise.all([
    db
      .select({
        repository: backupRepositories.name,
        type: backupJobs.backupType,
        status: backupJobs.status,
        verifyState: backupJobs.verifyState,
        rows: count(),
      })
      .from(backupJobs)
      .innerJoin(backupRepositories, eq(backupRepositories.id, backupJobs.repositoryId))
      .groupBy(backupRepositories.name, backupJobs.backupType, backupJobs.status, backupJobs.verifyState),
    db
      .select({ repository: backupRepositories.name, status: backupCopies.status, rows: count() })
      .from(backupCopies)
      .innerJoin(backupRepositories, eq(backupRepositories.id, backupCopies.repositoryId))
      .groupBy(backupRepositories.name, backupCopies.status),
    db
      .select({ name: protectionFlows.name, status: protectionFlows.lastExecutionStatus })
      .from(protectionFlows)
      .where(eq(protectionFlows.enabled, true)),
    db
      .select({ status: scheduleExecutions.status, rows: count() })
      .from(scheduleExecutions)
      .groupBy(scheduleExecutions.status),
    db.select({ rows: count() }).from(restoreMounts).where(isNull(restoreMounts.unmountedAt)),
    db.select({ rows: count() }).from(nbdPortAllocations),
    db.select().from(backupRepositories),
  ])
  return { backups, copies, flows, runs, mounts: mounts[0]?.rows ?? 0, ports: ports[0]?.rows ?? 0, repositories }
}
