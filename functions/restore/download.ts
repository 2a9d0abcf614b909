/** GET and HEAD /restore/{mount_id}/download: one file, whole or one range of it. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { downloadQuery } from '../../contract/api/restore.ts'
import { defineFunction } from '../../runtime/function.ts'
import { attachment, checkGrant } from '../../workflows/downloads.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { fileAnswers, fileErrors, sendFile } from '../../workflows/send-file.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'Download a file',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    query: downloadQuery,
    responses: fileAnswers,
    errors: [...guestPathErrors, ...fileErrors],
  },
  ({ params: { mount_id }, query, env, caller, request }) =>
    useMount(env, mount_id, async () => {
      const path = checkGrant(caller, { mountId: mount_id, kind: 'file', format: '', path: guestPath(query) })
      return sendFile(env, mount_id, path, request, {
        more: ({ name }) => ({ 'Content-Disposition': attachment(name) }),
        insteadOfFolder: `use /restore/${mount_id}/download-directory`,
      })
    }),
)
