/** How long do 50 VMs take by a flow, beside the same backups asked for one by one? */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, startHub } from '../../test/support/hub.ts'
import { blankImage } from '../../test/support/images.ts'
import { print, row, seconds, sideBySide } from '../support/measure.ts'

const vmCount = 50
const atOnce = 4
const hub = await startHub()
const must = async (method: string, path: string, body?: unknown): Promise<any> => {
  const reply = await hub.api(method, path, body)
  if (reply.status >= 300) throw new Error(JSON.stringify(reply.body))
  return reply.body
}
try {
  const vms: { vmName: string; repositoryId: string }[] = []
  for (let number = 0; number < vmCount; number++) {
    mkdirSync(join(hub.folder, 'vms', `vm-${number}`))
    blankImage(join(hub.folder, 'vms', `vm-${number}`, 'disk0.raw'), 16 << 20)
    vms.push(await registerVm(hub, `vm-${number}`))
  }
  const { id: group } = await must('POST', '/machine-groups', { name: 'all', max_concurrent_vms: atOnce })
  for (const { context_id } of (await must('GET', '/vm-contexts')).vm_contexts)
    await must('POST', `/machine-groups/${group}/vms`, { vm_context_id: context_id })
  const flow = await must('POST', '/protection-flows', {
    name: 'all',
    flow_type: 'backup',
    target_type: 'group',
    target_id: group,
    repository_id: vms[0]!.repositoryId,
  })
  const byFlow = () =>
    seconds(async () => {
      await must('POST', `/protection-flows/${flow.id}/execute`, { backup_type: 'full' })
      await waitFor(
        'the run',
        async () => {
          const [run] = (await must('GET', `/protection-flows/${flow.id}/executions?limit=1`)).executions
          if (run.status === 'failed') throw new Error(JSON.stringify(run))
          return run.status === 'success'
        },
        600_000,
      )
    })
  const byHand = () =>
    seconds(async () => {
      const waiting = [...vms]
      const worker = async () => {
        for (let vm = waiting.pop(); vm; vm = waiting.pop()) {
          const { backup_id } = await must('POST', '/backups', {
            vm_name: vm.vmName,
            repository_id: vm.repositoryId,
            backup_type: 'full',
          })
          while ((await must('GET', `/backups/${backup_id}`)).status !== 'completed') await sleep(50)
        }
      }
      await Promise.all(Array.from({ length: atOnce }, worker))
    })
  const { flowTook, handTook } = await sideBySide({ flowTook: byFlow, handTook: byHand }, 2)
  print([
    row(
      `Flow of ${vmCount} VMs, ${atOnce} at a time`,
      `${flowTook.toFixed(1)} s`,
      `the same backups asked for by hand: ${handTook.toFixed(1)} s`,
      handTook / flowTook,
      '–',
      true,
    ),
  ])
} finally {
  await hub.stop()
}
