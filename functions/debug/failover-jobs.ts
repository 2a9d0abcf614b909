/** GET /debug/failover-jobs: failover jobs by kind and state, counted. */
import { debugFailoverAnswer } from '../../contract/api/health.ts'
import { failoverCounts } from '../../db/queries/jobs.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Failover jobs, counted', needs: ['DB', 'CLOCK'], responses: { 200: debugFailoverAnswer } },
  async ({ env: { DB, CLOCK } }) => ({
    success: true,
    message: 'Failover jobs by kind and state',
    debug_data: { ...(await failoverCounts(DB.orm)), timestamp: CLOCK.now().toISOString() },
  }),
)
