/** GET /debug/endpoints: the routes this hub serves, from the route map itself. */
import { debugEndpointsAnswer } from '../../contract/api/health.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'The routes this hub serves', needs: ['CLOCK', 'RUNTIME'], responses: { 200: debugEndpointsAnswer } },
  async ({ env: { CLOCK, RUNTIME } }) => {
    const endpoints: Record<string, string[]> = {}
    for (const { method, path, legacy } of RUNTIME.routes()) {
      const category = legacy
        ? 'legacy'
        : (path
            .replace(/^\/api\/v1\//, '')
            .split('/')
            .find((part) => part !== '') ?? 'root')
      endpoints[category] ??= []
      endpoints[category].push(`${method} ${path}`)
    }
    return {
      success: true,
      message: 'Served endpoints',
      debug_data: {
        total_endpoints: RUNTIME.routes().length,
        endpoint_categories: Object.keys(endpoints).length,
        endpoints,
        authentication: 'Authorization: Bearer <token> from POST /api/v1/auth/login',
        timestamp: CLOCK.now().toISOString(),
      },
    }
  },
)
