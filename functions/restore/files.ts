/** GET /restore/{mount_id}/files: lists a directory. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { filesAnswer, filesQuery } from '../../contract/api/restore.ts'
import { listingLimits } from '../../contract/listing-limits.ts'
import { defineFunction } from '../../runtime/function.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'List a directory',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    query: filesQuery,
    responses: { 200: filesAnswer },
    errors: [...guestPathErrors, 'NOT_A_DIRECTORY'],
  },
  ({ params, query, env }) =>
    useMount(env, params.mount_id, async () => {
      const { recursive, offset = 0 } = query
      const limit = query.limit ?? (recursive ? listingLimits.recursive : listingLimits.plain)
      const { partition, path, entries, total_count, truncated } = await env.AGENT.listFiles(params.mount_id, {
        ...guestPath(query, '/'),
        recursive,
        limit,
        offset,
      })
      const next = offset + entries.length
      const hasMore = next < total_count
      return {
        mount_id: params.mount_id,
        path,
        partition,
        files: entries,
        count: entries.length,
        total_count,
        total: total_count,
        limit,
        offset,
        has_more: hasMore,
        next_offset: hasMore && entries.length > 0 ? next : null,
        truncated,
      }
    }),
)
