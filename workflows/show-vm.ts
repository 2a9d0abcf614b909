/** One VM in full, for the two routes that show it. */

import type { Executor } from '../db/database.ts'
import { changeHistory, findReplication, replicationHistory } from '../db/queries/jobs.ts'
import { disksOf, toVmDisk, type VmRow, withGroups } from '../db/queries/vms.ts'

export const showVm = async (db: Executor, row: VmRow) => ({
  context: await withGroups(db, row),
  current_job: row.currentJobId === null ? null : await findReplication(db, row.currentJobId),
  job_history: await replicationHistory(db, row.contextId),
  disks: (await disksOf(db, row.contextId)).map(toVmDisk),
  cbt_history: await changeHistory(db, row.contextId),
  last_operation: row.lastOperationSummary ?? null,
})
