/** GET /health: liveness for probes. */
import { healthAnswer } from '../../contract/api/health.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'Liveness of the hub',
    needs: ['DB', 'AGENT', 'NODE', 'CLOCK', 'SETTINGS', 'RUNTIME'],
    responses: { 200: healthAnswer },
  },
  async ({ env: { DB, AGENT, NODE, CLOCK, SETTINGS, RUNTIME } }) => {
    const now = CLOCK.now()
    const common = {
      service: 'sendense-hub',
      timestamp: now.toISOString(),
      version: SETTINGS.version,
      uptime_seconds: Math.floor((now.getTime() - RUNTIME.startedAt.getTime()) / 1000),
    }
    const works = (work: Promise<unknown>) =>
      work.then(
        () => true,
        () => false,
      )
    const [database, agent, node] = await Promise.all([works(DB.ping()), works(AGENT.health()), works(NODE.health())])
    if (!database)
      throw new HubError('SERVICE_UNAVAILABLE', 'The database does not answer', {
        extra: { ...common, status: 'unhealthy', database: 'disconnected', checks: { database: 'error' } },
      })
    return {
      ...common,
      status: agent ? 'healthy' : 'degraded',
      database: 'connected',
      // Backups need the node, everything else works without it.
      checks: { database: 'ok', host_agent: agent ? 'ok' : 'error', source_node: node ? 'ok' : 'warning' },
    }
  },
)
