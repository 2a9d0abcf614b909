/** OPTIONS /restore/{mount_id}/dav/*: says that this is WebDAV, to be read only. */
import { z } from 'zod'
import { id } from '../../../contract/api/common.ts'
import { defineFunction, streamAnswer } from '../../../runtime/function.ts'

export default defineFunction(
  {
    summary: 'What WebDAV can do here',
    needs: [],
    params: z.object({ mount_id: id }),
    responses: { 200: { contentType: 'text/plain', description: 'Nothing but headers' } },
  },
  // Class 1 of RFC 4918: without locks, file managers know that nothing can be written. MS-Author-Via is for Windows.
  async () =>
    streamAnswer(
      200,
      { DAV: '1', Allow: 'OPTIONS, GET, HEAD, PROPFIND', 'MS-Author-Via': 'DAV', 'Content-Length': '0' },
      null,
    ),
)
