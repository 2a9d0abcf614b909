/** POST /restore/{mount_id}/access: what a file manager or a script needs to read a mount over WebDAV or SFTP. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { accessAnswer } from '../../contract/api/restore.ts'
import { answer, defineFunction } from '../../runtime/function.ts'
import { useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'Open a door to a mount',
    needs: ['DB', 'AGENT', 'CLOCK', 'KEYS', 'SETTINGS'],
    params: z.object({ mount_id: id }),
    responses: { 201: accessAnswer },
    errors: ['MOUNT_NOT_FOUND', 'MOUNT_EXPIRED', 'MOUNT_NOT_READY'],
  },
  ({ params: { mount_id }, env }) =>
    useMount(env, mount_id, async () => {
      await env.AGENT.getMount(mount_id)
      const { token, expiresAt } = await env.KEYS.mountToken(mount_id, env.CLOCK.now())
      return answer(201, {
        username: 'mount',
        password: token,
        expires_at: expiresAt.toISOString(),
        url: `/api/v1/restore/${mount_id}/dav/`,
        sftp: env.SETTINGS.sftp,
      })
    }),
)
