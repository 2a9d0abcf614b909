/** POST /discovery/bulk-add: the older form of adding VMs, without saved credentials. */
import { duration } from '../../contract/api/common.ts'
import { bulkAddBody, bulkAddResult } from '../../contract/api/discovery.ts'
import { defineFunction } from '../../runtime/function.ts'
import { addVms, discover, openSource } from '../../workflows/discover.ts'

export default defineFunction(
  {
    summary: 'Add VMs, older form',
    needs: ['DB', 'NODE', 'KEYS', 'CLOCK'],
    body: bulkAddBody,
    responses: { 200: bulkAddResult },
    errors: ['NODE_UNREACHABLE', 'NODE_ERROR', 'DISCOVERY_FAILED'],
  },
  async ({ body, env }) => {
    const began = performance.now()
    const source = await openSource(env, body)
    const found = await discover(env, source, body.filter)
    const discoveryMs = performance.now() - began
    const added = await addVms(env, source, found, body.selected_vms)
    return {
      ...added,
      ...duration('discovery_duration', discoveryMs),
      ...duration('processing_duration', performance.now() - began - discoveryMs),
    }
  },
)
