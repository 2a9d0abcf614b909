/** POST /machine-groups: an empty group. */
import { randomUUID } from 'node:crypto'
import { createGroupBody, group } from '../../contract/api/machine-groups.ts'
import { insertGroup, showGroups } from '../../db/queries/groups.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { nameOfCaller } from '../../workflows/caller-name.ts'
import { withFreeName } from '../../workflows/free-name.ts'
import { checkScheduleNamed } from '../../workflows/schedules.ts'

export default defineFunction(
  {
    summary: 'Create a group',
    needs: ['DB'],
    body: createGroupBody,
    responses: { 201: group },
    errors: ['NAME_TAKEN', 'UNKNOWN_SCHEDULE'],
  },
  async ({ body, env: { DB }, caller }) => {
    await checkScheduleNamed(DB.orm, body.schedule_id)
    const id = randomUUID()
    await withFreeName(body.name, () =>
      insertGroup(DB.orm, {
        id,
        name: body.name,
        description: body.description,
        scheduleId: body.schedule_id,
        maxConcurrentVms: body.max_concurrent_vms,
        priority: body.priority,
        createdBy: nameOfCaller(caller, body.created_by),
      }),
    )
    const [created] = await showGroups(DB.orm, { id })
    return answer(201, created)
  },
)
