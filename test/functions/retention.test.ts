import { afterAll, beforeAll, expect, it } from 'vitest'
import { applyDueRetention, applyRetention, applyToAll } from '../../workflows/apply-retention.ts'
import { runCopies } from '../../workflows/copy-backups.ts'
import { runMerges } from '../../workflows/merge-backups.ts'
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
    ...['keep', 'delete', 'delete', 'delete', 'delete', 'delete', 'keep'],
  ])
  expect([delete_count, keep_count]).toEqual([5, 2])
  expect(points[0].reasons).toEqual(['weekly 2026-W09'])
  expect(points[6].reasons).toEqual(['last 1 of 1', 'weekly 2026-W10', 'the newest restore point'])
  expect((await applyRetention(alone.bindings, context)).sort()).toEqual(ids.slice(1, 6).sort())
  expect((await plan(counted)).delete_count).toBe(0)
  // Without counts a chain goes as a whole.
  const days = await policyOf('days', { retention_days: 3 })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [days])
  expect((await plan(days)).points.map(({ action }: { action: string }) => action)).toEqual(['delete', 'keep'])
  // Days keep beside the counts.
  const both = await policyOf('both', { retention_days: 365, keep: { last: 1 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [both])
  expect((await plan(both)).points[0].reasons).toEqual(['younger than 365 days'])
  const off = await policyOf('off', { enabled: false, retention_days: 1 })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ?', [off])
  expect((await plan(off)).delete_count).toBe(0)
  // What it would do if it said something else, which it does not.
  const supposed = async (query: string) => (await alone.call('GET', `/policies/${off}/retention?${query}`)).body
  expect((await supposed('enabled=true')).delete_count).toBe(1)
  expect((await supposed('enabled=true&retention_days=0')).delete_count).toBe(0)
  const { points: kept } = await supposed('enabled=true&retention_days=0&last=2')
  expect(kept.map(({ reasons }: any) => reasons[0])).toEqual(['last 2 of 2', 'last 1 of 2'])
  expect((await supposed('last=-1')).fields).toEqual([expect.objectContaining({ field: 'last' })])
  expect((await plan(off)).delete_count).toBe(0)
  expect((await alone.call('GET', '/policies/none/retention')).body.code).toBe('POLICY_NOT_FOUND')
})

it('merges what the counts do not name into what builds on it, exactly', async () => {
  const everything = (await alone.call('GET', '/policies')).body.find(({ name }: any) => name === 'everything').id
  const { ids, context } = await backUp(everything, ['full', ...Array(6).fill('incremental')])
  const named = await policyOf('last two', { retention_days: 0, keep: { last: 2 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ? WHERE id IN (?)', [named, ids])
  const protect = (id: string, value: boolean) => alone.call('PUT', `/backups/${id}/protection`, { protected: value })
  expect((await protect(ids[2]!, true)).body).toMatchObject({ backup_id: ids[2], protected: true })
  expect((await protect('backup-none-1', true)).status).toBe(404)

  const { points } = await plan(named)
  expect(points.map(({ action }: any) => action)).toEqual(['merge', 'merge', 'keep', 'merge', 'merge', 'keep', 'keep'])
  expect(points[2].reasons).toEqual(['protected'])
  // Those of other policies, and older ones, were deleted or stay as they are.
  expect(await applyRetention(alone.bindings, context)).toEqual([])
  const shown = async (id: string) => (await alone.call('GET', `/backups/${id}`)).body
  expect(await shown(ids[0]!)).toMatchObject({ merging_into: ids[1], current_phase: 'merging', status: 'completed' })
  // What goes is no restore point any more; what builds on it is.
  for (const [method, path, body] of [
    ['POST', '/restore/mount', { backup_id: ids[0], disk_index: 0 }],
    ['POST', `/backups/${ids[0]}/verify`, {}],
    ['POST', `/backups/${ids[0]}/copy`, { repository_id: vm.repositoryId }],
    ['PUT', `/backups/${ids[0]}/protection`, { protected: true }],
  ] as const)
    expect((await alone.call(method, path, body)).body, path).toMatchObject({
      code: 'BACKUP_NOT_COMPLETED',
      details: `no rule keeps it: it is being merged into ${ids[1]}`,
    })
  expect((await alone.call('GET', `/backups/chain?vm_name=${vm.vmName}`)).status).toBe(200)

  await runMerges(alone.bindings, 10_000)
  const left = (await alone.call('GET', `/backups?vm_context_id=${context}&limit=3`)).body.backups
  expect(
    left.map(({ backup_id, backup_type, parent_backup_id }: any) => [backup_id, backup_type, parent_backup_id]),
  ).toEqual([
    [ids[6], 'incremental', ids[5]],
    [ids[5], 'incremental', ids[2]],
    [ids[2], 'full', null],
  ])
  expect(left[2].size_bytes).toBeGreaterThan(left[0].size_bytes)
  expect((await plan(named)).delete_count).toBe(0)
  expect((await alone.call('DELETE', `/backups/${ids[2]}?cascade=true`)).body.code).toBe('BACKUP_PROTECTED')
  await protect(ids[2]!, false)
  await applyRetention(alone.bindings, context)
  await runMerges(alone.bindings, 10_000)
  expect((await shown(ids[5]!)).backup_type).toBe('full')
  const [actions] = await alone.db.pool.query("SELECT path FROM audit_log WHERE action = 'merge'")
  expect(actions).toHaveLength(5)
})

it('waits with a merge while the chain is in use, and takes with a point what was to go into it', async () => {
  const everything = (await alone.call('GET', '/policies')).body.find(({ name }: any) => name === 'everything').id
  const { ids, context } = await backUp(everything, ['full', 'incremental', 'incremental'])
  const named = await policyOf('last one', { retention_days: 0, keep: { last: 1 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ? WHERE id IN (?)', [named, ids])
  await applyRetention(alone.bindings, context)
  const started = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'incremental',
    policy_id: named,
  })
  expect(started.body.parent_backup_id).toBe(ids[2])
  await runMerges(alone.bindings, 10_000)
  expect((await alone.call('GET', `/backups/${ids[0]}`)).body.merging_into).toBe(ids[1])
  await alone.call('POST', `/backups/${started.body.backup_id}/cancel`)
  const { body } = await alone.call('DELETE', `/backups/${ids[2]}`)
  expect(body.deleted_backup_ids).toEqual([ids[2], ids[1], ids[0]])
})

it('lets no chain grow past its limit', async () => {
  alone.bindings.SETTINGS.chainLimit = 3
  const everything = (await alone.call('GET', '/policies')).body.find(({ name }: any) => name === 'everything').id
  await backUp(everything, ['full', 'incremental', 'incremental'])
  const { status, body } = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'incremental',
  })
  expect([status, body.code]).toEqual([400, 'FULL_BACKUP_REQUIRED'])
  expect(body.details).toContain('3 restore points')
})

it('copies no point that is being merged away, and heals nothing meanwhile', async () => {
  alone.bindings.SETTINGS.chainLimit = 30
  const second = (
    await alone.call('POST', '/repositories', { name: 'second', type: 'local', config: { path: '/second' } })
  ).body.id
  const everything = (await alone.call('GET', '/policies')).body.find(({ name }: any) => name === 'everything').id
  const { ids, context } = await backUp(everything, ['full', 'incremental', 'incremental'])
  const copied = async (id: string) => (await alone.call('GET', `/backups/${id}/copies`)).body
  const named = await policyOf('last one, copied', { retention_days: 0, keep: { last: 1 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ? WHERE id IN (?)', [named, ids])
  // A copy that is under way is not disturbed.
  await alone.call('POST', `/backups/${ids[0]}/copy`, { repository_id: second, verify_after_copy: false })
  await alone.db.pool.query("UPDATE backup_copies SET status = 'copying'")
  await alone.db.pool.query('UPDATE vm_backup_contexts SET retention_due = (context_id = ?)', [context])
  await applyDueRetention(alone.bindings)
  expect((await alone.call('GET', `/backups/${ids[0]}`)).body.merging_into).toBeNull()
  await runCopies(alone.bindings, 5_000)
  expect(await copied(ids[0]!)).toMatchObject([{ status: 'completed' }])
  // The copy's end is waited for by itself: nobody needs to ask again.
  await applyDueRetention(alone.bindings)
  expect((await alone.call('GET', `/backups/${ids[1]}`)).body.merging_into).toBe(ids[2])

  await alone.call('POST', `/backups/${ids[2]}/copy`, { repository_id: second, verify_after_copy: false })
  expect(await copied(ids[1]!)).toEqual([])
  await runCopies(alone.bindings, 5_000)
  expect(await copied(ids[2]!)).toMatchObject([{ status: 'pending' }])
  expect((await alone.call('POST', `/backups/${ids[2]}/heal`, {})).body.code).toBe('CHAIN_IN_USE')
  await runMerges(alone.bindings, 10_000)
  await runCopies(alone.bindings, 5_000)
  expect(await copied(ids[2]!)).toMatchObject([{ status: 'completed' }])
  expect((await alone.call('GET', `/backups/${ids[2]}`)).body.backup_type).toBe('full')
  // What the going one had there is gone with it.
  expect([...alone.agent.files.keys()].filter((key) => key.startsWith(second))).toHaveLength(2)
})

it('goes on with the others while one repository does not answer, and comes back to it', async () => {
  const everything = (await alone.call('GET', '/policies')).body.find(({ name }: any) => name === 'everything').id
  const here = await backUp(everything, ['full', 'incremental'])
  const other = await readyVm(alone, { name: 'other' })
  const { body } = await alone.call(
    'POST',
    '/backups',
    { vm_name: 'other', repository_id: other.repositoryId, backup_type: 'full', policy_id: everything },
    { token: await alone.freshToken() },
  )
  alone.clock.advance(60)
  await finishBackups(alone)
  const there = { id: body.backup_id as string, context: body.vm_backup_context_id as string }
  alone.tokens.admin = await alone.freshToken()
  const second = await alone.call('POST', '/backups', {
    vm_name: 'other',
    repository_id: other.repositoryId,
    backup_type: 'incremental',
    policy_id: everything,
  })
  alone.clock.advance(60)
  await finishBackups(alone)
  const newest = second.body.backup_id as string
  const named = await policyOf('last one of two', { retention_days: 0, keep: { last: 1 } })
  await alone.db.pool.query('UPDATE backup_jobs SET policy_id = ? WHERE id IN (?)', [
    named,
    [...here.ids, there.id, newest],
  ])
  const merging = async (id: string) => (await alone.call('GET', `/backups/${id}`)).body.merging_into

  alone.agent.silent.add(other.repositoryId)
  await expect(applyToAll(alone.bindings, [there.context, here.context])).rejects.toThrow('does not answer')
  expect(await merging(there.id)).toBeNull()
  expect(await merging(here.ids[0]!)).toBe(here.ids[1])
  alone.agent.silent.clear()
  await applyToAll(alone.bindings, [there.context, here.context])
  expect(await merging(there.id)).toBe(newest)

  // Merges of the one that is silent wait; they keep no other from its turn.
  alone.agent.silent.add(other.repositoryId)
  await runMerges(alone.bindings, 10_000)
  expect((await alone.call('GET', `/backups/${here.ids[0]}`)).status).toBe(404)
  expect(await merging(there.id)).toBe(newest)
  alone.agent.silent.clear()
  await runMerges(alone.bindings, 10_000)
  expect((await alone.call('GET', `/backups/${there.id}`)).status).toBe(404)
})
