/** NBD ports and the qemu-nbd processes on them. The primary key is what makes an allocation exclusive. */
import { and, asc, count, eq, inArray, lt, notInArray } from 'drizzle-orm'
import type { ExportState } from '../../contract/agent.ts'
import type { Executor } from '../database.ts'
import { nbdPortAllocations, qemuNbdProcesses } from '../schema/index.ts'

export type PortRow = typeof nbdPortAllocations.$inferSelect

export const listPorts = (db: Executor): Promise<PortRow[]> =>
  db.select().from(nbdPortAllocations).orderBy(asc(nbdPortAllocations.port))
export const countPorts = async (db: Executor): Promise<number> =>
  (await db.select({ ports: count() }).from(nbdPortAllocations))[0]?.ports ?? 0
export const portsOfJob = (db: Executor, jobId: string): Promise<PortRow[]> =>
  db.select().from(nbdPortAllocations).where(eq(nbdPortAllocations.jobId, jobId)).orderBy(asc(nbdPortAllocations.port))
export const findPorts = (db: Executor, ports: number[]): Promise<PortRow[]> =>
  ports.length === 0
    ? Promise.resolve([])
    : db.select().from(nbdPortAllocations).where(inArray(nbdPortAllocations.port, ports))

/** Throws ER_DUP_ENTRY when a port or an export name was taken meanwhile. */
export const insertPorts = (tx: Executor, rows: (typeof nbdPortAllocations.$inferInsert)[]) =>
  tx.insert(nbdPortAllocations).values(rows)
export const deletePorts = (db: Executor, ports: number[]) =>
  ports.length === 0 ? undefined : db.delete(nbdPortAllocations).where(inArray(nbdPortAllocations.port, ports))
export const deletePortsOfJob = (db: Executor, jobId: string) =>
  db.delete(nbdPortAllocations).where(eq(nbdPortAllocations.jobId, jobId))
export const renewPorts = (db: Executor, ports: number[], expiresAt: Date) =>
  ports.length === 0
    ? undefined
    : db.update(nbdPortAllocations).set({ expiresAt }).where(inArray(nbdPortAllocations.port, ports))
/** Leases that ran out. Those of running processes are renewed before this. */
export const deleteExpiredPorts = (db: Executor, now: Date) =>
  db.delete(nbdPortAllocations).where(lt(nbdPortAllocations.expiresAt, now))

export const insertProcess = (db: Executor, state: ExportState, jobId: string, diskIndex: number | null, at: Date) => {
  const row = {
    port: state.port,
    exportName: state.export_name,
    qcow2Path: state.path,
    jobId,
    diskIndex,
    readOnly: state.read_only,
    sharedLimit: state.shared_limit,
    processStart: state.process_start ?? '',
    startedAt: at,
  }
  return db
    .insert(qemuNbdProcesses)
    .values({ pid: state.pid!, ...row })
    .onDuplicateKeyUpdate({ set: row })
}
export const deleteProcess = (db: Executor, exportName: string) =>
  db.delete(qemuNbdProcesses).where(eq(qemuNbdProcesses.exportName, exportName))
/** Rows of processes that are gone. */
export const keepProcesses = (db: Executor, pids: number[], before: Date) =>
  db
    .delete(qemuNbdProcesses)
    .where(
      and(
        lt(qemuNbdProcesses.startedAt, before),
        pids.length === 0 ? undefined : notInArray(qemuNbdProcesses.pid, pids),
      ),
    )
