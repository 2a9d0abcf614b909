/** GET /machine-groups: all groups with their figures, by priority and name. */
import { page } from '../../contract/api/common.ts'
import { groupsAnswer, listGroupsQuery } from '../../contract/api/machine-groups.ts'
import { showGroups } from '../../db/queries/groups.ts'
import { defineFunction } from '../../runtime/function.ts'

export default defineFunction(
  { summary: 'List groups', needs: ['DB', 'CLOCK'], query: listGroupsQuery, responses: { 200: groupsAnswer } },
  async ({ query, env: { DB, CLOCK } }) => {
    const { shown, ...counted } = page(await showGroups(DB.orm, { scheduleId: query.schedule_id }), query)
    return {
      groups: shown,
      ...counted,
      filtered_by: query.schedule_id === undefined ? null : `schedule_id=${query.schedule_id}`,
      retrieved_at: CLOCK.now().toISOString(),
    }
  },
)
