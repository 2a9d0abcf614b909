/** POST /restore/{mount_id}/download-token: a link that a browser can follow without a header. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { downloadTokenAnswer, downloadTokenBody } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { archiveFormat } from '../../workflows/downloads.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'Make a download link',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS'],
    params: z.object({ mount_id: id }),
    body: downloadTokenBody,
    responses: { 201: downloadTokenAnswer },
    errors: [...guestPathErrors, 'IS_DIRECTORY', 'NOT_A_DIRECTORY', 'NOT_A_REGULAR_FILE', 'UNSUPPORTED_FORMAT'],
  },
  ({ params: { mount_id }, body, env }) =>
    useMount(env, mount_id, async () => {
      const { KEYS, AGENT, CLOCK } = env
      const format = body.kind === 'directory' ? archiveFormat(body.format ?? 'zip') : ''
      const path = guestPath(body)
      const info = await AGENT.fileInfo(mount_id, path)
      if (body.kind === 'directory' && info.type !== 'directory')
        throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
      if (body.kind === 'file' && info.type === 'directory')
        throw new HubError('IS_DIRECTORY', 'The path is a directory')
      if (body.kind === 'file' && info.special)
        throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
      const grant = { mountId: mount_id, partition: info.partition, pathB64: path.path_b64, kind: body.kind, format }
      const { token, expiresAt } = await KEYS.downloadToken(grant, CLOCK.now())
      const query = new URLSearchParams({
        path_b64: path.path_b64,
        partition: String(info.partition),
        ...(format ? { format } : {}),
        token,
      })
      const action = body.kind === 'file' ? 'download' : 'download-directory'
      return answer(201, {
        token,
        expires_at: expiresAt.toISOString(),
        url: `/api/v1/restore/${mount_id}/${action}?${query}`,
      })
    }),
)
