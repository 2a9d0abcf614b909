/** GET /machine-groups/{id}: one group with its schedule and its members. */
import { groupDetailAnswer, groupParams } from '../../contract/api/machine-groups.ts'
import { membersOf, showGroups, toMembership } from '../../db/queries/groups.ts'
import { findSchedule, toSchedule } from '../../db/queries/schedules.ts'
import { defineFunction } from '../../runtime/function.ts'
import { existingGroup } from '../../workflows/groups.ts'

export default defineFunction(
  {
    summary: 'One group',
    needs: ['DB'],
    params: groupParams,
    responses: { 200: groupDetailAnswer },
    errors: ['GROUP_NOT_FOUND'],
  },
  async ({ params, env: { DB } }) => {
    const row = await existingGroup(DB.orm, params.id)
    const [shown] = await showGroups(DB.orm, { id: row.id })
    const schedule = row.scheduleId === null ? undefined : await findSchedule(DB.orm, row.scheduleId)
    return {
      ...shown,
      schedule: schedule ? toSchedule(schedule) : null,
      memberships: (await membersOf(DB.orm, row.id)).map(toMembership),
    }
  },
)
