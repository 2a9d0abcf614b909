/** POST /discovery/preview: what discovery would find; writes nothing. */
import { duration } from '../../contract/api/common.ts'
import { previewAnswer, previewBody } from '../../contract/api/discovery.ts'
import { defineFunction } from '../../runtime/function.ts'
import { discover, openSource, toDiscovered } from '../../workflows/discover.ts'

export default defineFunction(
  {
    summary: 'Preview a discovery',
    needs: ['DB', 'NODE', 'KEYS', 'CLOCK'],
    body: previewBody,
    responses: { 200: previewAnswer },
    errors: ['UNKNOWN_CREDENTIAL', 'NODE_UNREACHABLE', 'NODE_ERROR', 'DISCOVERY_FAILED'],
  },
  async ({ body, env }) => {
    const began = performance.now()
    const source = await openSource(env, body)
    const found = await discover(env, source, body.filter)
    const existing = found.filter(({ managed }) => managed).length
    return {
      vms: found.map(toDiscovered),
      total_discovered: found.length,
      new_vms: found.length - existing,
      existing_vms: existing,
      ...duration('processing_time', performance.now() - began),
      vcenter: source.request.vcenter,
      datacenter: source.request.datacenter,
      filter: body.filter ?? null,
    }
  },
)
