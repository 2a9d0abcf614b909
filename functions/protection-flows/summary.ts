/** GET /protection-flows/summary: figures over all flows; today is the day in UTC. */
import { flowsSummaryAnswer } from '../../contract/api/protection-flows.ts'
import { sumFlows } from '../../db/queries/flows.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'Figures over all flows', needs: ['DB', 'CLOCK'], responses: { 200: flowsSummaryAnswer } },
  async ({ env: { DB, CLOCK } }) => {
    const today = new Date(`${CLOCK.now().toISOString().slice(0, 10)}T00:00:00.000Z`)
    return sumFlows(DB.orm, today)
  },
)
