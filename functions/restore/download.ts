/** GET and HEAD /restore/{mount_id}/download: one file, whole or one range of it. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { downloadQuery } from '../../contract/api/restore.ts'
import { HubError } from '../../contract/errors.ts'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'
import { attachment, checkGrant, isUnchanged, mimeType, wantedSpan } from '../../workflows/downloads.ts'
import { guestPath } from '../../workflows/guest-path.ts'
import { guestPathErrors, useMount } from '../../workflows/use-mount.ts'

const bytes = { contentType: 'application/octet-stream', description: 'The bytes of the file' }

export default defineFunction(
  {
    summary: 'Download a file',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    query: downloadQuery,
    responses: {
      200: bytes,
      206: { ...bytes, description: 'One range of the file' },
      304: { ...bytes, description: 'The client has it already' },
    },
    errors: [...guestPathErrors, 'IS_DIRECTORY', 'NOT_A_REGULAR_FILE', 'RANGE_NOT_SATISFIABLE'],
  },
  ({ params: { mount_id }, query, env: { AGENT, DB, CLOCK }, caller, request }) =>
    useMount({ AGENT, DB, CLOCK }, mount_id, async () => {
      const path = checkGrant(caller, { mountId: mount_id, kind: 'file', format: '', path: guestPath(query) })
      const info = await AGENT.fileInfo(mount_id, path)
      if (info.type === 'directory')
        throw new HubError('IS_DIRECTORY', 'The path is a directory', {
          details: `use /restore/${mount_id}/download-directory`,
        })
      if (info.special) throw new HubError('NOT_A_REGULAR_FILE', 'The path is not a regular file')
      const validators = { ETag: info.etag, 'Last-Modified': info.modified_http, 'Cache-Control': 'private, no-cache' }
      if (isUnchanged(request.headers, info)) return streamAnswer(304, validators, null)

      const span = wantedSpan(request.headers, info)
      const { start, length } = span ?? { start: 0, length: info.size }
      const headers = {
        ...validators,
        'Content-Type': mimeType(info.name) ?? 'application/octet-stream',
        'Content-Length': String(length),
        'Accept-Ranges': 'bytes',
        'Content-Disposition': attachment(info.name),
        ...(span ? { 'Content-Range': `bytes ${start}-${start + length - 1}/${info.size}` } : {}),
      }
      // A dangling symlink has no content to open: the agent says so before any header is sent.
      const stream =
        request.method === 'HEAD' ? null : await AGENT.readFile(mount_id, { ...path, start, length, etag: info.etag })
      return streamAnswer(span ? 206 : 200, headers, stream)
    }),
)
