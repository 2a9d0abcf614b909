import { afterAll, beforeAll, expect, it } from 'vitest'
import { applyRetention } from '../../workflows/apply-retention.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { finishBackups } from '../support/flows.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
beforeAll(async () => {
  alone = await openAlone({ now: new Date('2026-03-01T12:00:00.000Z') })
  vm = await readyVm(alone)
})
afterAll(() => alone.close())

const policyOf = async (name: string, more: object): Promise<string> =>
  (await alone.call('POST', '/policies', { name, primary_repository_id: vm.repositoryId, ...more })).body.id
/** @returns ids, and the context of the VM in the repository */
const backUp = async (policy_id: string, types: ('full' | 'incremental')[]) => {
  const ids: string[] = []
  let context = ''
  for (const backup_type of types) {
    const { body } = await alone.call(
      'POST',
      '/backups',
      { vm_name: vm.vmName, repository_id: vm.repositoryId, backup_type, policy_id },
      { token: await alone.freshToken() },
    )
    ids.push(body.backup_id)
    context = body.vm_backup_context_id
    alone.clock.advance(60)
    alone.tokens.admin = await alone.freshToken()
    await finishBackups(alone)
    alone.clock.advance(24 * 3600 - 60)
    alone.tokens.admin = await alone.freshToken()
  }
  return { ids, context }
}
const plan = async (policy: string) => (await alone.call('GET', `/policies/${policy}/retention`)).body

it('keeps chains that hold a point which the counts name, and tells why before it deletes', async () => {
  const everything = await policyOf('everything', { retention_days: 0 })
  // Two days a chain, from March 1st on: the policy is named when all of them are there.
  const { ids, context } = await backUp(everything, [
    ...['full', 'incremental', 'full', 'incremental', 'full', 'incremental', 'full'],
  ] as ('full' | 'incremental')[])
  expect((await plan(everything)).delete_count).toBe(0)
  expect((await plan(everything)).points[0].reasons).toEqual(['the policy everything keeps everything'])
  const counted = await policyOf('counted', { retention_days: 0, keep: { last: 1, weekly: 2 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [counted])

  // A Sunday; the rest of them in the week after it.
  const { points, delete_count, keep_count } = await plan(counted)
  expect(points.map(({ action }: { action: string }) => action)).toEqual([
    ...['keep', 'keep', 'delete', 'delete', 'delete', 'delete', 'keep'],
  ])
  expect([delete_count, keep_count]).toEqual([4, 3])
  expect(points[0].reasons).toEqual(['weekly 2026-W09'])
  expect(points[1].reasons).toEqual(['in a chain with points that are kept'])
  expect(points[6].reasons).toEqual(['last 1 of 1', 'weekly 2026-W10', 'the newest chain'])
  expect((await applyRetention(alone.bindings, context)).sort()).toEqual(ids.slice(2, 6).sort())
  expect((await plan(counted)).delete_count).toBe(0)
  // Days keep beside the counts.
  const both = await policyOf('both', { retention_days: 365, keep: { last: 1 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [both])
  expect((await plan(both)).points[0].reasons).toEqual(['younger than 365 days'])
  const off = await policyOf('off', { enabled: false, retention_days: 1 })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [off])
  expect((await plan(off)).delete_count).toBe(0)
  expect((await alone.call('GET', '/policies/none/retention')).body.code).toBe('POLICY_NOT_FOUND')
})
