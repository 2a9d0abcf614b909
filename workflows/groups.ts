/** What several functions about machine groups share. */
import { randomUUID } from 'node:crypto'
import { HubError } from '../contract/errors.ts'
import { type Executor, isDuplicate } from '../db/database.ts'
import { countMembers, findGroup, type GroupRow, insertMembership } from '../db/queries/groups.ts'
import type { VmRow } from '../db/queries/vms.ts'
import { findVmById } from './find-vm.ts'

/** @throws GROUP_NOT_FOUND */
export const existingGroup = async (db: Executor, id: string): Promise<GroupRow> => {
  const row = await findGroup(db, id)
  if (!row) throw new HubError('GROUP_NOT_FOUND', 'There is no such group', { details: id.slice(0, 100) })
  return row
}

export const membershipNotFound = () => new HubError('MEMBERSHIP_NOT_FOUND', 'The VM is not in this group')

type Joining = { vmContextId: string; priority: number; enabled: boolean; addedBy: string | null; now: Date }
/** @throws VM_NOT_FOUND, ALREADY_MEMBER */
export const joinGroup = async (db: Executor, group: GroupRow, joining: Joining): Promise<VmRow> => {
  const vm = await findVmById(db, joining.vmContextId)
  try {
    await insertMembership(db, {
      id: randomUUID(),
      groupId: group.id,
      vmContextId: vm.contextId,
      priority: joining.priority,
      enabled: joining.enabled,
      addedAt: joining.now,
      addedBy: joining.addedBy,
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new HubError('ALREADY_MEMBER', 'The VM is in this group already', { details: vm.vmName, cause: error })
  }
  return vm
}

/** For information: how many run at once limits no membership. */
export const capacityOf = async (db: Executor, group: GroupRow) => {
  const members = await countMembers(db, group.id)
  return {
    group_id: group.id,
    group_name: group.name,
    current_members: members,
    max_concurrent_vms: group.maxConcurrentVms,
    available: Math.max(0, group.maxConcurrentVms - members),
    at_capacity: members >= group.maxConcurrentVms,
  }
}
