/** GET /restore/mounts: active mounts. */
import { counts } from '../../contract/api/common.ts'
import { mountsAnswer, mountsQuery } from '../../contract/api/restore.ts'
import { countMounts, listMounts, toMount } from '../../db/queries/mounts.ts'
import { defineFunction } from '../../runtime/function.ts'
import { reconcileMounts } from '../../workflows/reconcile-mounts.ts'

export default defineFunction(
  {
    summary: 'List active mounts',
    needs: ['DB', 'AGENT', 'CLOCK'],
    query: mountsQuery,
    responses: { 200: mountsAnswer },
  },
  async ({ query, env }) => {
    await reconcileMounts(env)
    const { mounts: states } = await env.AGENT.listMounts()
    const rows = await listMounts(env.DB.orm, query)
    const mounts = rows.map((row) =>
      toMount(
        row,
        states.find(({ mount_id }) => mount_id === row.mount.id),
      ),
    )
    return { mounts, ...counts(mounts, await countMounts(env.DB.orm)) }
  },
)
