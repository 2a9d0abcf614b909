/** Cron: goes on with the checks of restore points that are asked for. */
import { defineCron } from '../../runtime/function.ts'
import { runVerifications } from '../../workflows/verify-backups.ts'

/** Short, so that a hub that is to end does not wait for a check. */
const roundMs = 4_000

export default defineCron({ summary: 'Verify backups', needs: ['DB', 'AGENT', 'CLOCK'] }, (env) =>
  runVerifications(env, roundMs),
)
