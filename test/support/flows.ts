/** What tests of flows and schedules share. */
import { activeBackups } from '../../db/queries/backups.ts'
import { failBackup } from '../../workflows/end-backup.ts'
import type { Alone } from './alone.ts'

/** Ends all backups that run, as their clients would. @returns how many */
export const finishBackups = async (alone: Alone, how: 'completed' | 'failed' = 'completed'): Promise<number> => {
  const active = await activeBackups(alone.db.orm)
  for (const { job, disks } of active) {
    if (how === 'failed') await failBackup(alone.bindings, job.id, 'the source went away')
    else
      await alone.call('POST', `/backups/${job.id}/complete`, {
        disks: disks.map(({ diskIndex }) => ({ disk_index: diskIndex, change_id: `change ${job.id} ${diskIndex}` })),
      })
  }
  return active.length
}
