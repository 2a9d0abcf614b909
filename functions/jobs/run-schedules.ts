/** Cron: begins the runs of schedules that are due, and goes on with all runs of schedules and flows. */
import { defineCron } from '../../runtime/function.ts'
import { runSchedules } from '../../workflows/run-schedules.ts'

export default defineCron(
  { summary: 'Run schedules and flows', needs: ['DB', 'AGENT', 'NODE', 'KEYS', 'CLOCK', 'SETTINGS'] },
  runSchedules,
)
