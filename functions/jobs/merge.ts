/** Cron: goes on with merges of restore points that no rule keeps. */
import { defineCron } from '../../runtime/function.ts'
import { runMerges } from '../../workflows/merge-backups.ts'

/** Short, so that a hub that is to end does not wait for a merge. */
const roundMs = 4_000

export default defineCron({ summary: 'Merge restore points', needs: ['DB', 'AGENT', 'CLOCK'] }, (env) =>
  runMerges(env, roundMs),
)
