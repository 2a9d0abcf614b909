/** GET and HEAD /restore/{mount_id}/dav/*: a file of a mount, over WebDAV. */
import { z } from 'zod'
import { id } from '../../../contract/api/common.ts'
import { HubError } from '../../../contract/errors.ts'
import { defineFunction } from '../../../runtime/function.ts'
import { checkMountToken } from '../../../workflows/dav/check-mount-token.ts'
import { placeOf, treeErrors, treeOf } from '../../../workflows/dav/tree.ts'
import { fileAnswers, fileErrors, sendFile } from '../../../workflows/send-file.ts'
import { useMount } from '../../../workflows/use-mount.ts'

const useFind = 'list it with PROPFIND'

export default defineFunction(
  {
    summary: 'Read a file over WebDAV',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    responses: fileAnswers,
    errors: [...treeErrors, ...fileErrors],
  },
  ({ params: { mount_id }, env, caller, request }) =>
    useMount(env, mount_id, async () => {
      checkMountToken(caller, mount_id)
      const { partitions } = await env.AGENT.getMount(mount_id)
      const place = placeOf(partitions, treeOf(request.url, mount_id).below)
      if (place.kind === 'volumes') throw new HubError('IS_DIRECTORY', 'The path is a directory', { details: useFind })
      return sendFile(env, mount_id, place.path, request, { more: () => ({}), insteadOfFolder: useFind })
    }),
)
