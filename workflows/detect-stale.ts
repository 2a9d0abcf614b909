/** Marks jobs that give no sign of life, and fails those that gave none for long (contract section 9). */
import { activeBackups, type JobWithDisks, updateActiveBackup } from '../db/queries/backups.ts'
import type { Env } from '../runtime/bindings/index.ts'
import { failBackup } from './end-backup.ts'
import { notify } from './notify.ts'

/** The latest of start, telemetry and complete. */
const lastSign = ({ job, disks }: JobWithDisks): number =>
  Math.max(
    ...[job.startedAt, job.lastTelemetryAt, ...disks.map(({ completedAt }) => completedAt)].map(
      (at) => at?.getTime() ?? 0,
    ),
  )

const stall = ({ DB, CLOCK }: Env<'DB' | 'CLOCK'>, { job }: JobWithDisks): Promise<void> =>
  DB.transaction(async (tx) => {
    if (!(await updateActiveBackup(tx, job.id, { status: 'stalled' }))) return
    const subject = { vm_name: job.vmName, backup_id: job.id, repository_id: job.repositoryId }
    await notify(tx, 'backup_stalled', `The backup of ${job.vmName} gives no sign of life`, subject, CLOCK.now())
  })

export const detectStale = async (env: Env<'DB' | 'AGENT' | 'NODE' | 'CLOCK' | 'SETTINGS'>): Promise<void> => {
  const { DB, AGENT, CLOCK, SETTINGS } = env
  const jobs = (await activeBackups(DB.orm)).filter(({ job }) => job.startedAt !== null)
  if (jobs.length === 0) return
  // A disk that is being sealed is alive whatever its client says: the hub itself is at work on it.
  const exports = await AGENT.listExports().catch(() => [])
  const sealing = new Set(exports.filter(({ status }) => status === 'sealing').map(({ job_id }) => job_id))
  for (const backup of jobs) {
    if (sealing.has(backup.job.id)) continue
    const silentSeconds = (CLOCK.now().getTime() - lastSign(backup)) / 1000
    if (silentSeconds >= SETTINGS.stallFailSeconds)
      await failBackup(env, backup.job.id, `no telemetry for ${Math.round(silentSeconds)} seconds`)
    else if (silentSeconds >= SETTINGS.stallSeconds && backup.job.status !== 'stalled') await stall(env, backup)
  }
}
