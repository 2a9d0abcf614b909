/** GET /debug/logs: recent requests of this process, without query strings. */
import { z } from 'zod'
import { queryInt } from '../../contract/api/common.ts'
import { debugLogsAnswer } from '../../contract/api/health.ts'
import { defineFunction } from '../../runtime/function.ts'

const levels = ['debug', 'info', 'warn', 'error'] as const
const slowestMax = 10
/** The level of a request: server errors are errors, refused ones warnings. */
const levelOf = (status: number) => (status >= 500 ? 3 : status >= 400 ? 2 : 1)

export default defineFunction(
  {
    summary: 'Recent requests',
    needs: ['CLOCK', 'RUNTIME'],
    query: z.object({ limit: queryInt(1, 500).default(100), level: z.enum(levels).default('debug') }),
    responses: { 200: debugLogsAnswer },
  },
  async ({ query, env: { CLOCK, RUNTIME } }) => {
    const at = CLOCK.now().toISOString()
    const recent = RUNTIME.requests.recent()
    const byEndpoint = new Map<string, number[]>()
    for (const { method, path, duration_ms } of recent)
      byEndpoint.set(`${method} ${path}`, [...(byEndpoint.get(`${method} ${path}`) ?? []), duration_ms])
    const mean = (values: number[]) =>
      values.length === 0 ? 0 : Math.round((values.reduce((sum, one) => sum + one, 0) / values.length) * 10) / 10
    const slowest = [...byEndpoint].map(([endpoint, times]) => ({
      endpoint,
      average_ms: mean(times),
      requests: times.length,
    }))
    return {
      success: true,
      message: 'Recent requests of this process',
      debug_data: {
        log_summary: {
          total_requests_today: RUNTIME.requests.requestsOn(at.slice(0, 10)),
          error_rate:
            recent.length === 0 ? 0 : recent.filter(({ status_code }) => status_code >= 500).length / recent.length,
          average_response_time: mean(recent.map(({ duration_ms }) => duration_ms)),
          slowest_endpoints: slowest.sort((a, b) => b.average_ms - a.average_ms).slice(0, slowestMax),
        },
        recent_requests: recent
          .filter(({ status_code }) => levelOf(status_code) >= levels.indexOf(query.level))
          .slice(0, query.limit),
        timestamp: at,
      },
    }
  },
)
