/** POST /discovery/add-vms: takes VMs under management by name. */
import { addVmsAnswer, addVmsBody } from '../../contract/api/discovery.ts'
import { defineFunction } from '../../runtime/function.ts'
import { addVms, discover, openSource } from '../../workflows/discover.ts'

export default defineFunction(
  {
    summary: 'Add VMs by name',
    needs: ['DB', 'NODE', 'KEYS', 'CLOCK'],
    body: addVmsBody,
    responses: { 200: addVmsAnswer },
    errors: ['UNKNOWN_CREDENTIAL', 'NODE_UNREACHABLE', 'NODE_ERROR', 'DISCOVERY_FAILED'],
  },
  async ({ body, env }) => {
    const source = await openSource(env, body)
    const added = await addVms(env, source, await discover(env, source), body.vm_names)
    const rows = new Map<string, object>()
    for (const vm of added.added_vms)
      rows.set(vm.vm_name, { success: true, context_id: vm.context_id, error: null, skipped: false })
    for (const vm of added.skipped_vms)
      rows.set(vm.vm_name, { success: true, context_id: vm.existing_context_id, error: null, skipped: true })
    for (const vm of added.failed_vms)
      rows.set(vm.vm_name, { success: false, context_id: null, error: vm.error, skipped: false })
    const names = [...new Set(body.vm_names)]
    return {
      success: added.failed === 0,
      message: `${added.successfully_added} added, ${added.skipped} managed already, ${added.failed} failed`,
      vms_added: added.successfully_added,
      vms_failed: added.failed,
      vms_skipped: added.skipped,
      total_vms: names.length,
      added_at: env.CLOCK.now().toISOString(),
      processed_vms: names.map((vm_name) => ({ vm_name, ...rows.get(vm_name) })),
    }
  },
)
