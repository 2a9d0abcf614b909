/** What would keep a flow from running, told before it is due. */

import { credentialForVm } from '../db/queries/credentials.ts'
import type { FlowRow } from '../db/queries/flows.ts'
import { findGroup, membersOf } from '../db/queries/groups.ts'
import { findRepository } from '../db/queries/repositories.ts'
import { findSchedule } from '../db/queries/schedules.ts'
import { activeOsseaConfigId, disksOf, findVmByContextId, type VmRow } from '../db/queries/vms.ts'
import type { Env } from '../runtime/bindings/index.ts'

type ProblemsEnv = Env<'DB' | 'AGENT'>

const problemsOfTarget = async ({ DB }: ProblemsEnv, flow: FlowRow): Promise<{ vms: VmRow[]; problems: string[] }> => {
  if (flow.targetType === 'vm') {
    const vm = await findVmByContextId(DB.orm, flow.targetId)
    return vm ? { vms: [vm], problems: [] } : { vms: [], problems: ['the VM is no longer managed'] }
  }
  if (!(await findGroup(DB.orm, flow.targetId))) return { vms: [], problems: ['the group is gone'] }
  const vms = (await membersOf(DB.orm, flow.targetId))
    .filter(({ membership }) => membership.enabled)
    .map(({ vm }) => vm)
  return { vms, problems: vms.length > 0 ? [] : ['the group has no enabled member'] }
}

const problemsOfVm = async ({ DB }: ProblemsEnv, vm: VmRow): Promise<string[]> => [
  ...((await disksOf(DB.orm, vm.contextId)).length > 0
    ? []
    : [`no disks of ${vm.vmName} are known: run the discovery again`]),
  ...((await credentialForVm(DB.orm, vm))
    ? []
    : [`${vm.vmName} has no usable credential: store an active one for ${vm.vcenterHost}`]),
]

const problemsOfRepository = async ({ DB, AGENT }: ProblemsEnv, id: string): Promise<string[]> => {
  const repository = await findRepository(DB.orm, id)
  if (!repository) return ['the repository is gone']
  if (!repository.enabled) return [`the repository ${repository.name} is disabled`]
  const answers = await AGENT.repositoryStorage(id).then(
    () => true,
    () => false,
  )
  return answers ? [] : [`the repository ${repository.name} does not answer`]
}

/** @returns one sentence for each; none: it can run */
export const flowProblems = async (env: ProblemsEnv, flow: FlowRow): Promise<string[]> => {
  const { DB } = env
  const { vms, problems } = await problemsOfTarget(env, flow)
  if (flow.flowType === 'replication' && (await activeOsseaConfigId(DB.orm)) === null)
    problems.push('no cloud is configured to replicate to')
  if (flow.flowType === 'backup') {
    for (const vm of vms) problems.push(...(await problemsOfVm(env, vm)))
    if (flow.repositoryId !== null) problems.push(...(await problemsOfRepository(env, flow.repositoryId)))
  }
  const schedule = flow.scheduleId === null ? undefined : await findSchedule(DB.orm, flow.scheduleId)
  if (schedule && !schedule.enabled) problems.push(`the schedule ${schedule.name} is disabled`)
  return problems
}
