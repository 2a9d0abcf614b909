import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vms: { contextId: string; vmName: string; repositoryId: string }[]
let [groupId, scheduleId] = ['', '']
beforeAll(async () => {
  alone = await openAlone()
  vms = [await readyVm(alone, { name: 'b' }), await readyVm(alone, { name: 'a' }), await readyVm(alone, { name: 'c' })]
  scheduleId = (
    await alone.call('POST', '/schedules', { name: 'nightly', cron_expression: '0 1 * * *', timezone: 'UTC' })
  ).body.id
})
afterAll(() => alone.close())
const [get, post, put, del] = (['GET', 'POST', 'PUT', 'DELETE'] as const).map(
  (method) => (path: string, body?: unknown) => alone.call(method, path, body),
) as [Call, Call, Call, Call]
type Call = (path: string, body?: unknown) => ReturnType<Alone['call']>

it('creates groups and lists them by priority and name', async () => {
  const { status, body } = await post('/machine-groups', { name: 'web', schedule_id: scheduleId, priority: 5 })
  expect(status).toBe(201)
  expect(body).toMatchObject({
    name: 'web',
    schedule_name: 'nightly',
    max_concurrent_vms: 5,
    total_vms: 0,
    active_jobs: 0,
    last_execution: null,
    created_by: 'admin',
  })
  groupId = body.id
  await post('/machine-groups', { name: 'z', priority: 1, created_by: 'somebody' })
  await post('/machine-groups', { name: 'db', priority: 5 })
  const all = (await get('/machine-groups')).body
  expect(all.groups.map(({ name }: { name: string }) => name)).toEqual(['z', 'db', 'web'])
  expect(all).toMatchObject({ total: 3, filtered_by: null, groups: [{ created_by: 'somebody' }, {}, {}] })
  expect((await get(`/machine-groups?schedule_id=${scheduleId}`)).body).toMatchObject({
    groups: [{ name: 'web' }],
    filtered_by: `schedule_id=${scheduleId}`,
  })
  expect((await post('/machine-groups', { name: 'web' })).body.code).toBe('NAME_TAKEN')
  expect((await post('/machine-groups', { name: 'x', schedule_id: 'none' })).body.code).toBe('UNKNOWN_SCHEDULE')
  for (const bad of [{ max_concurrent_vms: 0 }, { max_concurrent_vms: 101 }, { priority: 101 }, { name: '' }])
    expect((await post('/machine-groups', { name: 'x', ...bad })).body.code).toBe('VALIDATION_FAILED')
})
it('puts VMs in, one or several', async () => {
  const one = await post(`/machine-groups/${groupId}/vms`, { vm_context_id: vms[0]!.contextId, priority: 2 })
  expect(one.status).toBe(201)
  expect(one.body).toMatchObject({
    assigned_vm: { vm_name: 'b', group_name: 'web', priority: 2, enabled: true },
    group_capacity: { current_members: 1, max_concurrent_vms: 5, available: 4, at_capacity: false },
  })
  expect(one.body.processing_time).toBeGreaterThan(0)
  const again = await post(`/machine-groups/${groupId}/vms`, { vm_context_id: vms[0]!.contextId })
  expect([again.status, again.body.code]).toEqual([409, 'ALREADY_MEMBER'])
  const unknown = await post(`/machine-groups/${groupId}/vms`, { vm_context_id: 'ctx-none' })
  expect([unknown.status, unknown.body.code]).toEqual([404, 'VM_NOT_FOUND'])
  const { body } = await post(`/machine-groups/${groupId}/vms/bulk`, {
    vm_context_ids: [vms[0]!.contextId, vms[1]!.contextId, vms[2]!.contextId, 'ctx-none'],
  })
  expect(body).toMatchObject({
    success: false,
    bulk_result: { total_requested: 4, successful: 2, failed: 2, failed_ids: [vms[0]!.contextId, 'ctx-none'] },
    group_capacity: { current_members: 3 },
  })
  expect(body.bulk_result.error_messages['ctx-none']).toBe('VM not found')
  expect((await post(`/machine-groups/${groupId}/vms/bulk`, { vm_context_ids: [] })).status).toBe(400)
})
it('shows the members in the order in which they run', async () => {
  const names = (rows: { vm_name: string }[]) => rows.map(({ vm_name }) => vm_name)
  expect(names((await get(`/machine-groups/${groupId}/vms`)).body.vms)).toEqual(['a', 'c', 'b'])
  const shown = (await get(`/machine-groups/${groupId}`)).body
  expect(names(shown.memberships)).toEqual(['a', 'c', 'b'])
  expect(shown).toMatchObject({ total_vms: 3, enabled_vms: 3, schedule: { id: scheduleId } })
  const path = `/machine-groups/${groupId}/vms/${vms[2]!.contextId}`
  expect((await put(path, { enabled: false })).body).toMatchObject({ vm_name: 'c', enabled: false, priority: 0 })
  expect((await put(path, {})).body).toMatchObject({ enabled: false })
  expect((await get(`/machine-groups/${groupId}`)).body).toMatchObject({ enabled_vms: 2, disabled_vms: 1 })
  const members = (await get(`/vm-groups/${groupId}/members`)).body
  expect(names(members.members)).toEqual(['a', 'b'])
  expect(members.members[0]).toMatchObject({ cpu_count: 2, memory_mb: 2048, power_state: 'poweredOn' })
  expect((await get('/discovery/ungrouped-vms')).body.total).toBe(0)
})
it("sets a VM's group from the VM's side", async () => {
  const other = (await post('/machine-groups', { name: 'other' })).body.id
  const path = `/vm-contexts/${vms[0]!.contextId}/group`
  expect((await put(path, { group_id: other, added_by: 'somebody' })).body).toMatchObject({
    vm_context_id: vms[0]!.contextId,
    group_id: other,
    priority: 0,
    enabled: true,
    added_by: 'somebody',
  })
  expect((await put(path, { group_id: other, priority: 7 })).body).toMatchObject({ priority: 7, enabled: true })
  expect((await put(path, { group_id: other })).body).toMatchObject({ priority: 7 })
  expect((await put(path, { group_id: 'none' })).body.code).toBe('UNKNOWN_GROUP')
  expect((await put('/vm-contexts/ctx-none/group', { group_id: other })).body.code).toBe('VM_NOT_FOUND')
  expect((await get(`/vm-contexts/${vms[0]!.vmName}`)).body.context.group_count).toBe(2)
})
it('counts the jobs that run for its members', async () => {
  await post('/backups', { vm_name: 'a', repository_id: vms[1]!.repositoryId, backup_type: 'full' })
  expect((await get(`/machine-groups/${groupId}`)).body.active_jobs).toBe(1)
})
it('changes a group, and removes one that is empty and unused', async () => {
  const path = `/machine-groups/${groupId}`
  expect((await put(path, { schedule_id: null, description: 'x' })).body).toMatchObject({
    schedule_id: null,
    schedule_name: null,
    description: 'x',
    name: 'web',
  })
  expect((await put(path, { name: 'db' })).body.code).toBe('NAME_TAKEN')
  expect((await put(path, { schedule_id: 'none' })).body.code).toBe('UNKNOWN_SCHEDULE')
  expect((await del(path)).body).toMatchObject({ code: 'GROUP_NOT_EMPTY', total_vms: 3 })
  for (const { contextId } of vms) expect((await del(`${path}/vms/${contextId}`)).body.success).toBe(true)
  expect((await del(`${path}/vms/${vms[0]!.contextId}`)).body.code).toBe('MEMBERSHIP_NOT_FOUND')
  expect((await put(`${path}/vms/${vms[0]!.contextId}`, { priority: 1 })).body.code).toBe('MEMBERSHIP_NOT_FOUND')
  const flow = await post('/protection-flows', {
    name: 'all web',
    flow_type: 'backup',
    target_type: 'group',
    target_id: groupId,
    repository_id: vms[0]!.repositoryId,
  })
  expect((await del(path)).body).toMatchObject({ code: 'GROUP_NOT_EMPTY', flows: ['all web'] })
  await del(`/protection-flows/${flow.body.id}`)
  expect((await del(path)).body).toMatchObject({ success: true, group_id: groupId })
  for (const [method, tail, body] of [
    ['GET', ''],
    ['PUT', '', {}],
    ['DELETE', ''],
    ['GET', '/vms'],
    ['POST', '/vms', { vm_context_id: 'x' }],
    ['POST', '/vms/bulk', { vm_context_ids: ['x'] }],
    ['PUT', '/vms/x', {}],
    ['DELETE', '/vms/x'],
  ] as const)
    expect((await alone.call(method, `${path}${tail}`, body)).body.code).toBe('GROUP_NOT_FOUND')
  expect((await get(`/vm-groups/${groupId}/members`)).body.code).toBe('GROUP_NOT_FOUND')
})
