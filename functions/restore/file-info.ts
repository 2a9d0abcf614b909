/** GET /restore/{mount_id}/file-info: one entry in full. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { fileInfoAnswer, fileInfoQuery } from '../../contract/api/restore.ts'
import { defineFunction } from '../../runtime/function.ts'
import { mimeType } from '../../workflows/downloads.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'One file or directory',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    query: fileInfoQuery,
    responses: { 200: fileInfoAnswer },
    errors: guestPathErrors,
  },
  ({ params, query, env }) =>
    useMount(env, params.mount_id, async () => {
      const { etag, modified_http, ...info } = await env.AGENT.fileInfo(params.mount_id, guestPath(query))
      return { ...info, mime_type: info.type === 'file' && !info.special ? mimeType(info.name) : null }
    }),
)
