/** What several functions about protection flows share. */
import type { z } from 'zod'
import type { flow } from '../contract/api/protection-flows.ts'
import { HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { type FlowRow, findFlow, showFlows } from '../db/queries/flows.ts'
import { findGroup } from '../db/queries/groups.ts'
import { findPolicy } from '../db/queries/policies.ts'
import { findRepository } from '../db/queries/repositories.ts'
import { findSchedule } from '../db/queries/schedules.ts'
import { findVmByContextId } from '../db/queries/vms.ts'
import type { Caller } from '../runtime/function.ts'
import type { RunOrder } from './begin-flow.ts'

const notFound = (id: string) => new HubError('FLOW_NOT_FOUND', 'There is no such flow', { details: id.slice(0, 100) })

/** @throws FLOW_NOT_FOUND */
export const existingFlow = async (db: Executor, id: string): Promise<FlowRow> => {
  const row = await findFlow(db, id)
  if (!row) throw notFound(id)
  return row
}
/** The same as answers show it. @throws FLOW_NOT_FOUND */
export const shownFlow = async (db: Executor, id: string): Promise<z.infer<typeof flow>> => {
  const [shown] = await showFlows(db, { id })
  if (!shown) throw notFound(id)
  return shown
}

type Target = Pick<FlowRow, 'targetType' | 'targetId'>
type Links = Partial<Pick<FlowRow, 'repositoryId' | 'policyId' | 'scheduleId'>>
type LinkProblem = {
  code: 'UNKNOWN_TARGET' | 'UNKNOWN_REPOSITORY' | 'UNKNOWN_POLICY' | 'UNKNOWN_SCHEDULE'
  sentence: string
}

/** @returns the id under which the target is kept: either kind of a VM's context id may be given; undefined: there is none */
export const findTarget = async (db: Executor, { targetType, targetId }: Target): Promise<string | undefined> =>
  targetType === 'group' ? (await findGroup(db, targetId))?.id : (await findVmByContextId(db, targetId))?.contextId

/** What a flow names and is not there. */
export const linkProblems = async (
  db: Executor,
  { repositoryId, policyId, scheduleId }: Links,
): Promise<LinkProblem[]> => {
  const problems: LinkProblem[] = []
  if (repositoryId && !(await findRepository(db, repositoryId)))
    problems.push({ code: 'UNKNOWN_REPOSITORY', sentence: 'There is no such repository' })
  if (scheduleId && !(await findSchedule(db, scheduleId)))
    problems.push({ code: 'UNKNOWN_SCHEDULE', sentence: 'There is no such schedule' })
  if (policyId && !(await findPolicy(db, policyId)))
    problems.push({ code: 'UNKNOWN_POLICY', sentence: 'There is no such policy' })
  return problems
}
/** @throws UNKNOWN_REPOSITORY, UNKNOWN_SCHEDULE, UNKNOWN_POLICY */
export const checkLinks = async (db: Executor, links: Links): Promise<void> => {
  const [problem] = await linkProblems(db, links)
  if (problem) throw new HubError(problem.code, problem.sentence)
}

/** A run that somebody asked for: by hand, or a program with an API token. */
export const orderOf = (caller: Caller): RunOrder =>
  caller.kind === 'user'
    ? { executionType: caller.apiTokenId === null ? 'manual' : 'api', triggeredBy: caller.username }
    : { executionType: 'api', triggeredBy: null }

/** One change to many flows: one that fails keeps none of the others from it. */
export const changeEach = async (ids: string[], change: (id: string) => Promise<unknown>) => {
  const errors: Record<string, string> = {}
  let successful = 0
  for (const id of new Set(ids))
    try {
      await change(id)
      successful++
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      errors[id] = error.message
    }
  return { requested: ids.length, successful, failed: ids.length - successful, errors }
}
