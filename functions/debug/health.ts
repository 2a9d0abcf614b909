/** GET /debug/health: state of process and parts. */
import { debugHealthAnswer } from '../../contract/api/health.ts'
import { countActive } from '../../db/queries/backups.ts'
import { countMounts } from '../../db/queries/mounts.ts'
import { countPorts } from '../../db/queries/ports.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'State of process and parts',
    needs: ['DB', 'AGENT', 'NODE', 'CLOCK', 'RUNTIME'],
    responses: { 200: debugHealthAnswer },
  },
  async ({ env: { DB, AGENT, NODE, CLOCK, RUNTIME } }) => {
    const at = CLOCK.now().toISOString()
    const look = async (work: Promise<string>) => {
      const [status, description] = await work.then(
        (text) => ['ok', text] as const,
        (error: Error) => ['error', error.message] as const,
      )
      return { status, last_check: at, description }
    }
    const component_status = {
      database: await look(DB.ping().then(() => 'answers')),
      host_agent: await look(
        AGENT.health().then(
          ({ attach_backend, qemu_version, machines }) =>
            `attaches by ${attach_backend}, ${qemu_version}, throw-away machines: ${machines ?? 'none'}`,
        ),
      ),
      source_node: await look(NODE.health().then(() => 'answers')),
    }
    const { rss, heap_used, heap_total } = RUNTIME.memory()
    return {
      success: true,
      message: 'System information',
      system_info: {
        timestamp: at,
        uptime: `${Math.floor((CLOCK.now().getTime() - RUNTIME.startedAt.getTime()) / 1000)}s`,
        memory_stats: { rss, heap_used, heap_total },
        runtime_version: RUNTIME.version,
        database_status: component_status.database.status === 'ok' ? 'connected' : 'disconnected',
        api_endpoints: RUNTIME.routes().length,
        system_health:
          component_status.database.status === 'ok' && component_status.host_agent.status === 'ok'
            ? 'healthy'
            : 'degraded',
        component_status,
      },
      debug_data: {
        cpu_cores: RUNTIME.cpuCores,
        active_jobs: await countActive(DB.orm),
        active_mounts: await countMounts(DB.orm),
        nbd_ports_in_use: await countPorts(DB.orm),
        request_time: at,
      },
    }
  },
)
