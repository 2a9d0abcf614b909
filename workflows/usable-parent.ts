/** The backup that an incremental may build on, or why there is none (contract section 8.1). */

import type { JobWithDisks } from '../db/queries/backups.ts'
import { newestCompleted } from '../db/queries/chains.ts'
import type { VmDiskRow } from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { chainOf, diskChainOf, isWhole } from './chain-files.ts'

export type UsableParent = { parent: JobWithDisks; chain: JobWithDisks[] }

/** @param disks the VM's present disks */
export const usableParent = async (
  { DB, AGENT, SETTINGS }: Env<'DB' | 'AGENT' | 'SETTINGS'>,
  vmBackupContextId: string | undefined,
  disks: readonly VmDiskRow[],
): Promise<UsableParent | { reason: string }> => {
  const parent = vmBackupContextId === undefined ? undefined : await newestCompleted(DB.orm, vmBackupContextId)
  if (!parent) return { reason: 'this VM has no completed backup in this repository' }
  for (const disk of disks) {
    const before = parent.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
    if (!before) return { reason: `disk ${disk.diskIndex} was not in the last backup` }
    if (before.capacityBytes !== disk.capacityBytes)
      return { reason: `disk ${disk.diskIndex} has another size than in the last backup` }
    if (before.diskChangeId === null) return { reason: `the last backup has no change id for disk ${disk.diskIndex}` }
  }
  const chain = await chainOf(DB.orm, parent)
  if (!isWhole(chain)) return { reason: 'the chain of the last backup is damaged or not whole' }
  // What is being merged away counts no more.
  if (chain.filter(({ job }) => job.mergingInto === null).length >= SETTINGS.chainLimit)
    return {
      reason: `the chain of the last backup has ${SETTINGS.chainLimit} restore points, as many as SENDENSE_CHAIN_LIMIT allows`,
    }
  for (const disk of disks) {
    const damaged = (await AGENT.inspectChain(diskChainOf(chain, disk.diskIndex))).find(
      ({ problem }) => problem !== null,
    )
    if (damaged) return { reason: `a file of the chain of disk ${disk.diskIndex} ${damaged.problem}` }
  }
  return { parent, chain }
}
