/** Cron: marks backups that give no sign of life as stalled, and fails those that gave none for long. */
import { defineCron } from '../../runtime/function.ts'
import { detectStale } from '../../workflows/detect-stale.ts'

export default defineCron(
  { summary: 'Detect stale jobs', needs: ['DB', 'AGENT', 'NODE', 'CLOCK', 'SETTINGS'] },
  detectStale,
)
