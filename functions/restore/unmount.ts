/** DELETE /restore/{mount_id}: unmounts and frees the device; running downloads are cut. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { unmountAnswer } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction } from '../../runtime/function.ts'
import { endMount, liveMount } from '../../workflows/end-mount.ts'

export default defineFunction(
  {
    summary: 'Unmount',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    responses: { 200: unmountAnswer },
    errors: ['MOUNT_NOT_FOUND', 'MOUNT_EXPIRED', 'MOUNT_NOT_READY'],
  },
  async ({ params, env }) => {
    const mount = await liveMount(env.DB.orm, params.mount_id)
    if (mount.mount.status === 'mounting')
      throw new HubError('MOUNT_NOT_READY', 'The mount is not ready yet', { details: 'try again in a second' })
    await endMount(env, mount, 'user')
    return { message: 'backup unmounted successfully', mount_id: params.mount_id }
  },
)
