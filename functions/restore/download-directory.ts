/** GET and HEAD /restore/{mount_id}/download-directory: a directory as an archive, streamed while it is made. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { downloadDirectoryQuery } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'
import { archiveFormat, archiveTypes, attachment, checkGrant, onlyNames } from '../../workflows/downloads.ts'
import { liveMount } from '../../workflows/end-mount.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

export default defineFunction(
  {
    summary: 'Download a directory as an archive',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    query: downloadDirectoryQuery,
    responses: {
      200: {
        contentType: 'application/zip',
        description: 'The archive, application/gzip for tar.gz, application/zstd for tar.zst',
      },
    },
    errors: [...guestPathErrors, 'NOT_A_DIRECTORY', 'PATH_INVALID', 'UNSUPPORTED_FORMAT'],
  },
  ({ params: { mount_id }, query, env: { AGENT, DB, CLOCK }, caller, request }) =>
    useMount({ AGENT, DB, CLOCK }, mount_id, async () => {
      const { vmName, diskIndex } = await liveMount(DB.orm, mount_id)
      const format = archiveFormat(query.format)
      const path = checkGrant(caller, { mountId: mount_id, kind: 'directory', format, path: guestPath(query) })
      const info = await AGENT.fileInfo(mount_id, path)
      if (info.type !== 'directory') throw new HubError('NOT_A_DIRECTORY', 'The path is not a directory')
      const name = info.path === '/' ? `${vmName}-disk${diskIndex}-p${info.partition}` : info.name
      const headers = {
        'Content-Type': archiveTypes[format],
        'Content-Disposition': attachment(`${name}.${format}`),
        'Cache-Control': 'no-store',
        'Accept-Ranges': 'none',
      }
      return streamAnswer(
        200,
        headers,
        request.method === 'HEAD'
          ? null
          : await AGENT.readArchive(mount_id, {
              ...path,
              format,
              checksums: query.checksums,
              only_b64: onlyNames(query.only),
            }),
      )
    }),
)
