/** A job's token is good for its own job, while that runs and ten minutes after its end (contract section 1.6). */
import { isActive } from '../contract/api/backups.ts'
import { HubError } from '../contract/errors.ts'
import { stateOfBackup } from '../db/queries/backups.ts'
import type { Env } from '../runtime/bindings/index.ts'
import type { Caller } from '../runtime/function.ts'

const graceMs = 10 * 60 * 1000

/**
 * @param known how the job is, where that was read already
 * @throws TOKEN_SCOPE, TOKEN_EXPIRED; JOB_ENDED for a caller without a token
 */
export const checkJobToken = async (
  { DB, CLOCK }: Env<'DB' | 'CLOCK'>,
  caller: Caller,
  jobId: string,
  known?: Awaited<ReturnType<typeof stateOfBackup>>,
): Promise<void> => {
  if (caller.kind !== 'job' && caller.kind !== 'tokenless') return
  if (caller.kind === 'job' && (caller.jobType !== 'backup' || caller.jobId !== jobId))
    throw new HubError('TOKEN_SCOPE', 'This token belongs to another job')
  const job = known ?? (await stateOfBackup(DB.orm, jobId))
  if (!job || isActive(job.status)) return
  if (caller.kind === 'tokenless')
    throw new HubError('JOB_ENDED', `The backup has ended: ${job.status}`, { extra: { job_status: job.status } })
  if (CLOCK.now().getTime() > (job.completedAt?.getTime() ?? 0) + graceMs)
    throw new HubError('TOKEN_EXPIRED', 'The job has ended')
}
