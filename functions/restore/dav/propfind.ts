/** PROPFIND /restore/{mount_id}/dav/*: a file or a folder of a mount, and what the folder holds, over WebDAV. */
import { Readable } from 'node:stream'
import { z } from 'zod'
import { id } from '../../../contract/api/common.ts'
import { HubError } from '../../../contract/errors.ts'
import { defineFunction, streamAnswer } from '../../../runtime/function.ts'
import { checkMountToken } from '../../../workflows/dav/check-mount-token.ts'
import { resourcesAt } from '../../../workflows/dav/resources.ts'
import { treeErrors, treeOf } from '../../../workflows/dav/tree.ts'
import {
  type Asked,
  multistatusBegin,
  multistatusEnd,
  parsePropfind,
  type Resource,
  responseOf,
} from '../../../workflows/dav/xml.ts'
import { useMount } from '../../../workflows/use-mount.ts'

const bodyBytesMax = 64 * 1024

/** Folders of any length flow as they are read. @param first asked for before the answer began: its error is still to be told */
async function* multistatus(first: Resource[], rest: AsyncIterable<Resource[]>, asked: Asked) {
  const written = (page: Resource[]) => Buffer.from(page.map((resource) => responseOf(resource, asked)).join(''))
  yield Buffer.concat([Buffer.from(multistatusBegin), written(first)])
  for await (const page of rest) yield written(page)
  yield Buffer.from(multistatusEnd)
}

export default defineFunction(
  {
    summary: 'List a folder over WebDAV',
    needs: ['DB', 'AGENT', 'CLOCK'],
    params: z.object({ mount_id: id }),
    textMaxBytes: bodyBytesMax,
    responses: { 207: { contentType: 'application/xml', description: 'A multistatus of RFC 4918' } },
    errors: [...treeErrors, 'VALIDATION_FAILED'],
  },
  ({ params: { mount_id }, text, env, caller, request }) =>
    useMount(env, mount_id, async () => {
      checkMountToken(caller, mount_id)
      const depth = request.headers.get('depth') ?? 'infinity'
      if (depth !== '0' && depth !== '1')
        throw new HubError('FORBIDDEN', 'Whole trees are not listed at once', { details: 'send Depth: 0 or 1' })
      const asked = parsePropfind(text)
      const found = resourcesAt(env, mount_id, treeOf(request.url, mount_id), depth === '1')
      const { value: first } = await found.next()
      return streamAnswer(
        207,
        { 'Content-Type': 'application/xml; charset=utf-8', 'Cache-Control': 'no-store' },
        Readable.from(multistatus(first ?? [], found, asked)),
      )
    }),
)
