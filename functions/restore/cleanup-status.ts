/** GET /restore/cleanup-status: what the agent's cleanup did last. */
import { cleanupStatusAnswer } from '../../contract/api/restore.ts'
import { defineFunction } from '../../runtime/function.ts'

/** Seconds in the largest whole unit: `5m`, `1h`, `90s`. */
const short = (seconds: number) =>
  seconds % 3600 === 0 ? `${seconds / 3600}h` : seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`

export default defineFunction(
  { summary: 'State of the cleanup', needs: ['AGENT'], responses: { 200: cleanupStatusAnswer } },
  async ({ env: { AGENT } }) => {
    const { interval_seconds, idle_seconds, ...state } = await AGENT.cleanupState()
    return { ...state, cleanup_interval: short(interval_seconds), idle_timeout: short(idle_seconds) }
  },
)
