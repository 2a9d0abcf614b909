/** GET and HEAD /backups/{backup_id}/file: one file of a restore point in one step; it is opened for that alone. */
import { z } from 'zod'
import { id } from '../../contract/api/common.ts'
import { fetchQuery } from '../../contract/api/files.ts'
import { defineFunction, streamAnswer } from '../../runtime/function.ts'
import { attachment, mimeType } from '../../workflows/downloads.ts'
import { fetchFile } from '../../workflows/find-files.ts'

export default defineFunction(
  {
    summary: 'Download a file of a backup',
    needs: ['DB', 'AGENT'],
    params: z.object({ backup_id: id }),
    query: fetchQuery,
    responses: { 200: { contentType: 'application/octet-stream', description: 'The file' } },
    errors: [
      ...['BACKUP_NOT_FOUND', 'BACKUP_NOT_COMPLETED', 'CHAIN_BROKEN', 'NO_MOUNTABLE_FILESYSTEM', 'PARTITION_NOT_FOUND'],
      ...['FILE_NOT_FOUND', 'PATH_INVALID', 'PATH_FORBIDDEN', 'IS_DIRECTORY', 'NOT_A_REGULAR_FILE'],
    ] as never,
  },
  async ({ params, query, env, request }) => {
    const { info, content } = await fetchFile(env, params.backup_id, query)
    const headers = {
      'Content-Type': mimeType(info.name) ?? 'application/octet-stream',
      'Content-Disposition': attachment(info.name),
      'Content-Length': String(info.size),
      'Cache-Control': 'no-store',
    }
    if (request.method !== 'HEAD') return streamAnswer(200, headers, content)
    content.destroy()
    return streamAnswer(200, headers, null)
  },
)
