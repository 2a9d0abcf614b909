/** What several functions about policies share. */
import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import {
  type createPolicyBody,
  type Keep,
  keepCounts,
  type policy,
  type retentionQuery,
} from '../contract/api/policies.ts'
import { type FieldError, HubError } from '../contract/errors.ts'
import type { Executor } from '../db/database.ts'
import { findPolicy, type PolicyRow, replaceRules, rulesOf, toPolicy } from '../db/queries/policies.ts'
import { findRepository } from '../db/queries/repositories.ts'

type CopyRules = z.infer<typeof createPolicyBody>['copy_rules']

/** @throws POLICY_NOT_FOUND */
export const existingPolicy = async (db: Executor, id: string): Promise<PolicyRow> => {
  const row = await findPolicy(db, id)
  if (!row) throw new HubError('POLICY_NOT_FOUND', 'There is no such policy', { details: id.slice(0, 100) })
  return row
}
/** @throws POLICY_NOT_FOUND */
export const shownPolicy = async (db: Executor, id: string): Promise<z.infer<typeof policy>> =>
  toPolicy(await existingPolicy(db, id), await rulesOf(db, [id]))

/** The policy as it would be with what is supposed of it; without a count above zero the days alone count. */
export const supposedPolicy = (
  row: PolicyRow,
  {
    enabled = row.enabled,
    retention_days: retentionDays = row.retentionDays,
    ...counts
  }: z.output<typeof retentionQuery>,
): PolicyRow => {
  const isCounted = keepCounts.some((name) => counts[name] !== undefined)
  const keep = Object.fromEntries(keepCounts.map((name) => [name, counts[name] ?? 0])) as Keep
  const supposedKeep = keepCounts.some((name) => keep[name] > 0) ? keep : null
  return { ...row, enabled, retentionDays, keep: isCounted ? supposedKeep : row.keep }
}

/** A destination is not the primary, appears once, and exists. @throws VALIDATION_FAILED, UNKNOWN_REPOSITORY */
export const checkRepositories = async (
  db: Executor,
  primaryId: string | null,
  rules: readonly { destination_repository_id: string }[],
): Promise<void> => {
  const fields: FieldError[] = []
  const seen = new Set<string>()
  rules.forEach(({ destination_repository_id: id }, at) => {
    const refuse = (message: string) =>
      fields.push({ field: `copy_rules[${at}].destination_repository_id`, message, code: 'FORBIDDEN' })
    if (id === primaryId) refuse('is the primary repository')
    else if (seen.has(id)) refuse('is named twice')
    seen.add(id)
  })
  if (fields.length > 0) throw new HubError('VALIDATION_FAILED', 'The request is not valid', { fields })
  for (const id of [...(primaryId === null ? [] : [primaryId]), ...seen])
    if (!(await findRepository(db, id)))
      throw new HubError('UNKNOWN_REPOSITORY', 'There is no such repository', { details: id.slice(0, 100) })
}

export const writeRules = (tx: Executor, policyId: string, rules: CopyRules): Promise<void> =>
  replaceRules(
    tx,
    policyId,
    rules.map((rule, at) => ({
      id: randomUUID(),
      policyId,
      destinationRepositoryId: rule.destination_repository_id,
      copyMode: rule.copy_mode,
      priority: rule.priority ?? at + 1,
      enabled: rule.enabled,
      verifyAfterCopy: rule.verify_after_copy,
    })),
  )
