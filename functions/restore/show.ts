/** GET /restore/{mount_id}: one mount; does not count as access. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { mount } from '../../contract/api/restore.ts'
import { toMount } from '../../db/queries/mounts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { liveMount } from '../../workflows/end-mount.ts'
import { useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'One mount',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    responses: { 200: mount },
    errors: ['MOUNT_NOT_FOUND', 'MOUNT_EXPIRED'],
  },
  async ({ params, env }) => {
    const row = await liveMount(env.DB.orm, params.mount_id)
    if (row.mount.status === 'mounting') return toMount(row)
    return useMount(env, params.mount_id, async () => toMount(row, await env.AGENT.getMount(params.mount_id)))
  },
)
