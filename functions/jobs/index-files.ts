/** Cron: makes the files of restore points known that wait for it. */
import { defineCron } from '../../runtime/function.ts'
import { runIndexes } from '../../workflows/index-files.ts'

/** Begins none after so long. */
const roundMs = 4_000

export default defineCron({ summary: 'Index files', needs: ['DB', 'AGENT', 'CLOCK'] }, (env) =>
  runIndexes(env, roundMs),
)
