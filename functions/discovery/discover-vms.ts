/** POST /discovery/discover-vms: lists the VMs of a source, and adds them at once if asked. */
import { duration } from '../../contract/api/common.ts'
import { discoverAnswer, discoverBody } from '../../contract/api/discovery.ts'
import { defineFunction } from '../../runtime/function.ts'
import { addVms, discover, openSource, toDiscovered } from '../../workflows/discover.ts'

export default defineFunction(
  {
    summary: 'Discover VMs',
    needs: ['DB', 'NODE', 'KEYS', 'CLOCK'],
    body: discoverBody,
    responses: { 200: discoverAnswer },
    errors: ['UNKNOWN_CREDENTIAL', 'NODE_UNREACHABLE', 'NODE_ERROR', 'DISCOVERY_FAILED'],
  },
  async ({ body, env }) => {
    const began = performance.now()
    const source = await openSource(env, body)
    const found = await discover(env, source, body.filter)
    const discoveryMs = performance.now() - began
    const added = body.create_context ? await addVms(env, source, found, body.selected_vms) : null
    const failed = added?.failed ?? 0
    return {
      discovered_vms: found.map(toDiscovered),
      discovery_count: found.length,
      ...duration('processing_time', performance.now() - began),
      status: failed > 0 ? 'partial_success' : 'success',
      message: added
        ? `${found.length} VMs found, ${added.successfully_added} added, ${failed} failed`
        : `${found.length} VMs found`,
      addition_result: added && {
        ...added,
        ...duration('discovery_duration', discoveryMs),
        ...duration('processing_duration', performance.now() - began - discoveryMs),
      },
    }
  },
)
