import { and, asc, eq, sql } from 'drizzle-orm'
import { type InventoryVm, toVmAnswer, type VmAnswer } from '../../contract/api/inventory.ts'
import type { Executor } from '../database.ts'
import { vmInventory } from '../schema/index.ts'

/** Rows of one insert; a statement stays far below MariaDB's packet limit. */
const rowsPerInsert = 200

/** Replaces what is known of one vCenter and datacenter; other datacenters keep theirs. */
export const replaceInventory = async (db: Executor, vcenterHost: string, datacenter: string, vms: InventoryVm[]) => {
  await db
    .delete(vmInventory)
    .where(and(eq(vmInventory.vcenterHost, vcenterHost), eq(vmInventory.datacenter, datacenter)))
  // The last of several with one id counts.
  const unique = [...new Map(vms.map((vm) => [vm.id, vm])).values()]
  for (let at = 0; at < unique.length; at += rowsPerInsert)
    await db
      .insert(vmInventory)
      .values(unique.slice(at, at + rowsPerInsert).map((vm) => ({ vcenterHost, vmId: vm.id, datacenter, vm })))
      .onDuplicateKeyUpdate({ set: { datacenter: sql`values(datacenter)`, vm: sql`values(vm)` } })
}

const answer = (row: { datacenter: string; vm: InventoryVm }): VmAnswer => {
  const vm = toVmAnswer(row.vm)
  return { ...vm, datacenter: vm.datacenter ?? row.datacenter }
}

/** By name. */
export const listInventory = async (
  db: Executor,
  filter: { vcenterHost?: string | undefined; search?: string | undefined },
): Promise<VmAnswer[]> => {
  const rows = await db
    .select()
    .from(vmInventory)
    .where(filter.vcenterHost === undefined ? undefined : eq(vmInventory.vcenterHost, filter.vcenterHost))
    .orderBy(asc(vmInventory.vmId))
  const search = filter.search?.toLowerCase()
  return rows
    .map(answer)
    .filter(({ name }) => search === undefined || name.toLowerCase().includes(search))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

export const findInventoryVm = async (db: Executor, id: string): Promise<VmAnswer | undefined> => {
  const [row] = await db
    .select()
    .from(vmInventory)
    .where(eq(vmInventory.vmId, id))
    .orderBy(asc(vmInventory.vcenterHost))
    .limit(1)
  return row && answer(row)
}
