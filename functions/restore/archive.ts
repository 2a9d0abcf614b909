/** POST /restore/{mount_id}/archive: many files and folders of a volume as one archive, streamed while it is made. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { archiveBody } from '../../contract/api/restore.ts'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'
import { archiveFormat, archiveTypes, attachment } from '../../workflows/downloads.ts'
import { liveMount } from '../../workflows/end-mount.ts'
import { guestPath, pathsBelowRoot } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'Download many files as one archive',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    body: archiveBody,
    responses: { 200: { contentType: 'application/zip', description: 'The archive, of the type of its format' } },
    errors: [...guestPathErrors, 'UNSUPPORTED_FORMAT'],
  },
  ({ params: { mount_id }, body, env: { AGENT, DB, CLOCK } }) =>
    useMount({ AGENT, DB, CLOCK }, mount_id, async () => {
      const { vmName } = await liveMount(DB.orm, mount_id)
      const format = archiveFormat(body.format)
      const asked = body.paths.map((path) => guestPath({ ...path, partition: body.partition }))
      const headers = {
        'Content-Type': archiveTypes[format],
        'Content-Disposition': attachment(`${vmName}.${format}`),
        'Cache-Control': 'no-store',
        'Accept-Ranges': 'none',
      }
      const { partition, only_b64 } = pathsBelowRoot(asked)
      const root = { path_b64: Buffer.from('/').toString('base64'), partition }
      return streamAnswer(
        200,
        headers,
        await AGENT.readArchive(mount_id, { ...root, format, checksums: body.checksums, only_b64 }),
      )
    }),
)
