/** Begins a run of a flow: one transaction writes down what is to be done; whoever comes by goes on with it (advance-flow.ts). */
import { randomUUID } from 'node:crypto'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { activeRunOfFlow, insertFlowRun } from '../db/queries/flow-runs.ts'
import { type FlowRow, lockFlow, noteFlowRun } from '../db/queries/flows.ts'
import { findGroup, membersOf } from '../db/queries/groups.ts'
import { activeOsseaConfigId, findVmByContextId } from '../db/queries/vms.ts'
import type { RunRules } from '../db/schema/protection-flow-executions.ts'

export type RunOrder = {
  executionType: 'scheduled' | 'manual' | 'api'
  triggeredBy: string | null
  /** Of a schedule's run; a run by hand makes one try for each VM, with what type fits. */
  schedule?: { executionId: string; rules: Omit<RunRules, 'maxConcurrentVms'> }
}
const rulesByHand: Omit<RunRules, 'maxConcurrentVms'> = {
  maxConcurrentJobs: null,
  backupType: 'auto',
  retryAttempts: 0,
  retryDelayMinutes: 0,
}

type Target = { contextId: string; vmName: string }
const targetsOf = async (tx: Executor, flow: FlowRow): Promise<{ targets: Target[]; maxConcurrentVms: number }> => {
  if (flow.targetType === 'vm') {
    const vm = await findVmByContextId(tx, flow.targetId)
    // One that is no longer managed fails its job, and says so there.
    return { targets: [{ contextId: flow.targetId, vmName: vm?.vmName ?? flow.targetId }], maxConcurrentVms: 1 }
  }
  const group = await findGroup(tx, flow.targetId)
  const members = await membersOf(tx, flow.targetId)
  return {
    targets: members
      .filter(({ membership }) => membership.enabled)
      .map(({ vm }) => ({ contextId: vm.contextId, vmName: vm.vmName })),
    maxConcurrentVms: group?.maxConcurrentVms ?? 1,
  }
}

/** @throws FLOW_RUNNING with execution_id, NO_ACTIVE_OSSEA_CONFIG, FLOW_NOT_FOUND @returns the id of the run */
export const beginFlow = async (tx: Executor, flowId: string, order: RunOrder, now: Date): Promise<string> => {
  const flow = await lockFlow(tx, flowId)
  if (!flow) throw new HubError('FLOW_NOT_FOUND', 'There is no such flow')
  const running = await activeRunOfFlow(tx, flowId)
  if (running)
    throw new HubError('FLOW_RUNNING', 'The flow is running', {
      details: flow.name,
      extra: { execution_id: running.id },
    })
  if (flow.flowType === 'replication' && (await activeOsseaConfigId(tx)) === null)
    throw new HubError('NO_ACTIVE_OSSEA_CONFIG', 'No cloud is configured to replicate to', { details: flow.name })
  const { targets, maxConcurrentVms } = await targetsOf(tx, flow)
  const id = randomUUID()
  await insertFlowRun(
    tx,
    {
      id,
      flowId,
      scheduleExecutionId: order.schedule?.executionId ?? null,
      status: 'running',
      executionType: order.executionType,
      vmsProcessed: targets.length,
      startedAt: now,
      executionMetadata: { maxConcurrentVms, ...(order.schedule?.rules ?? rulesByHand) },
      createdJobIds: [],
      triggeredBy: order.triggeredBy,
      createdAt: now,
    },
    targets.map(({ contextId, vmName }, position) => ({
      id: randomUUID(),
      executionId: id,
      vmContextId: contextId,
      vmName,
      position,
      createdAt: now,
    })),
  )
  await noteFlowRun(
    tx,
    flowId,
    { lastExecutionId: id, lastExecutionStatus: 'running', lastExecutionTime: now },
    { total: 1 },
  )
  return id
}
