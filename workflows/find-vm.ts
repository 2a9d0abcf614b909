/** Finds the one managed VM that a request means. */
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findVmByContextId, findVmsByName, type VmRow } from '../db/queries/vms.ts'

/** @throws VM_NOT_FOUND, VM_AMBIGUOUS when several vCenters have a VM of that name */
export const findVmByName = async (db: Executor, vmName: string): Promise<VmRow> => {
  const found = await findVmsByName(db, vmName)
  if (found.length > 1)
    throw new HubError('VM_AMBIGUOUS', 'Several vCenters have a VM of this name', {
      details: 'use vm_context_id',
      extra: { context_ids: found.map(({ contextId }) => contextId) },
    })
  if (!found[0])
    throw new HubError('VM_NOT_FOUND', 'VM not found', { details: `no managed VM ${vmName}`.slice(0, 300) })
  return found[0]
}

/** By either kind of context id. @throws VM_NOT_FOUND */
export const findVmById = async (db: Executor, contextId: string): Promise<VmRow> => {
  const found = await findVmByContextId(db, contextId)
  if (!found)
    throw new HubError('VM_NOT_FOUND', 'VM not found', { details: `no managed VM ${contextId}`.slice(0, 300) })
  return found
}

/** Where a path takes a VM name or a context id: the id first, since a name can look like one. */
export const findVmByNameOrId = async (db: Executor, text: string): Promise<VmRow> =>
  text.startsWith('ctx-')
    ? ((await findVmByContextId(db, text)) ?? (await findVmByName(db, text)))
    : findVmByName(db, text)
