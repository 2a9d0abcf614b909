/** Cron: goes on with copies of backups, and with what is to be healed from them. */
import { defineCron } from '../../runtime/function.ts'
import { runCopies } from '../../workflows/copy-backups.ts'
import { runHeals } from '../../workflows/heal-backup.ts'

/** Short, so that a hub that is to end does not wait for a copy. */
const roundMs = 4_000

export default defineCron({ summary: 'Copy and heal backups', needs: ['DB', 'AGENT', 'CLOCK'] }, async (env) => {
  await runHeals(env, roundMs)
  await runCopies(env, roundMs)
})
