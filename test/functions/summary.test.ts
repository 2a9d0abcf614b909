import { afterAll, beforeAll, expect, it } from 'vitest'
import { watchStorage } from '../../workflows/watch-storage.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { finishBackups } from '../support/flows.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone({ now: new Date('2026-03-01T23:30:00.000Z') })
})
afterAll(() => alone.close())

const summary = async (query = '') =>
  (await alone.call('GET', `/summary${query}`, undefined, { token: alone.tokens.viewer })).body

it('says of an empty site that nothing is there', async () => {
  const { vms, days, last_24_hours, repositories } = await summary()
  expect(vms).toEqual({ total: 0, protected: 0, unprotected: 0, never_backed_up: 0, failing: 0 })
  expect(days).toHaveLength(30)
  expect(days.at(-1)).toEqual({ day: '2026-03-01', completed: 0, failed: 0, cancelled: 0, active: 0 })
  expect(last_24_hours.bytes_transferred).toBe(0)
  expect(repositories).toEqual([])
})

it('counts what is protected and what ran, by the days of the viewer, and names what needs attention', async () => {
  const vm = await readyVm(alone)
  const other = await readyVm(alone, { name: 'other' })
  await alone.call('POST', '/protection-flows', {
    name: 'web nightly',
    flow_type: 'backup',
    target_type: 'vm',
    target_id: vm.contextId,
    repository_id: vm.repositoryId,
  })
  const start = async (name: string, repository_id: string) =>
    (await alone.call('POST', '/backups', { vm_name: name, repository_id, backup_type: 'full' })).body
      .backup_id as string
  const good = await start(vm.vmName, vm.repositoryId)
  alone.clock.advance(10)
  await finishBackups(alone)
  const bad = await start('other', other.repositoryId)
  await alone.db.pool.query("UPDATE backup_jobs SET created_at = '2026-03-01 23:30:00'")
  await alone.db.pool.query(
    "UPDATE backup_jobs SET status = 'failed', active_slot = NULL, error_message = 'the disk is gone' WHERE id = ?",
    [bad],
  )
  await alone.db.pool.query("UPDATE backup_jobs SET verify_state = 'damaged' WHERE id = ?", [good])

  const { vms, days, failing_vms, unprotected_vms, damaged_backups, last_24_hours } = await summary()
  expect(vms).toEqual({ total: 2, protected: 1, unprotected: 1, never_backed_up: 0, failing: 1 })
  expect(days.at(-1)).toMatchObject({ day: '2026-03-01', completed: 1, failed: 1 })
  expect(last_24_hours).toMatchObject({ completed: 1, failed: 1 })
  expect(failing_vms).toMatchObject([{ vm_name: 'other', backup_id: bad, error_message: 'the disk is gone' }])
  expect(unprotected_vms).toMatchObject([{ vm_name: 'other' }])
  expect(damaged_backups).toMatchObject([{ backup_id: good }])
  // Half an hour later it is March 2nd in Paris.
  const paris = await summary('?utc_offset_minutes=60')
  expect(paris.days.at(-1)).toMatchObject({ day: '2026-03-02', completed: 1, failed: 1 })
  const list = (await alone.call('GET', '/vm-contexts?sort=-vm_name')).body.vm_contexts
  expect(list.map((row: any) => [row.vm_name, row.is_protected])).toEqual([
    ['web', true],
    ['other', false],
  ])
  expect((await alone.call('GET', '/vm-contexts?protected=false')).body.total).toBe(1)
  expect((await alone.call('GET', '/vm-contexts?protected=true')).body.vm_contexts[0].next_run).toBeNull()
})

it('tells how long the room lasts from what was used on other days', async () => {
  await watchStorage(alone.bindings)
  const first = await summary()
  expect(first.repositories.map((row: any) => row.days_left)).toEqual([null, null])
  alone.clock.advance(2 * 24 * 3600)
  alone.tokens.viewer = await alone.freshToken()
  alone.agent.storage = { total_bytes: 1e12, used_bytes: 3e11, available_bytes: 7e11 }
  await watchStorage(alone.bindings)
  const { repositories } = await summary()
  // 200 GB in two days: seven days for what is left.
  expect(repositories[0]).toMatchObject({ state: 'ok', days_left: 7 })
})
