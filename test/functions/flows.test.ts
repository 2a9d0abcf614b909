import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { runSchedules } from '../../workflows/run-schedules.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { finishBackups } from '../support/flows.ts'

type Vm = Awaited<ReturnType<typeof readyVm>>
let alone: Alone
let [web, db]: Vm[] = []
beforeAll(async () => {
  alone = await openAlone({ nbdPorts: { first: 10100, last: 10111 } })
  ;[web, db] = [await readyVm(alone, { name: 'web' }), await readyVm(alone, { name: 'db', disks: [2 ** 30] })]
})
afterAll(() => alone.close())

const create = (more: object = {}) =>
  alone.call('POST', '/protection-flows', {
    name: `flow ${randomUUID()}`,
    flow_type: 'backup',
    target_type: 'vm',
    target_id: web!.contextId,
    repository_id: web!.repositoryId,
    ...more,
  })
const created = async (more: object = {}): Promise<string> => {
  const { status, body } = await create(more)
  expect(status, JSON.stringify(body)).toBe(201)
  return body.id
}
const groupOf = async (vms: string[], more: object = {}): Promise<string> => {
  const { id } = (await alone.call('POST', '/machine-groups', { name: `group ${randomUUID()}`, ...more })).body
  for (const [priority, vm_context_id] of vms.entries())
    await alone.call('POST', `/machine-groups/${id}/vms`, { vm_context_id, priority })
  return id
}
/** A second after whatever was before, so that runs have an order. */
const execute = (id: string) => {
  alone.clock.advance(1)
  return alone.call('POST', `/protection-flows/${id}/execute`)
}
const last = async (id: string) => (await alone.call('GET', `/protection-flows/${id}/status`)).body.last_execution
const round = () => runSchedules(alone.bindings)

it('creates a flow with the names of what it refers to', async () => {
  const schedule = (
    await alone.call('POST', '/schedules', { name: 'nightly', cron_expression: '0 1 * * *', timezone: 'UTC' })
  ).body.id
  const { status, body } = await create({ name: 'protect web', schedule_id: schedule, description: 'd' })
  expect(status).toBe(201)
  expect(body).toMatchObject({
    name: 'protect web',
    target_name: 'web',
    repository_name: expect.stringContaining('repository of web'),
    policy_id: null,
    schedule_name: 'nightly',
    schedule_cron: '0 1 * * *',
    enabled: true,
    status: { last_execution_id: null, last_execution_status: 'pending', total_executions: 0 },
    last_execution: null,
    next_execution: '2026-03-02T01:00:00.000Z',
    created_by: 'admin',
  })
  expect((await alone.call('GET', `/protection-flows/${body.id}`)).body).toEqual(body)
  const backupContext = `ctx-backup-none`
  for (const [code, more] of [
    ['NAME_TAKEN', { name: 'protect web' }],
    ['UNKNOWN_TARGET', { target_id: backupContext }],
    ['UNKNOWN_TARGET', { target_type: 'group' }],
    ['UNKNOWN_REPOSITORY', { repository_id: 'none' }],
    ['UNKNOWN_SCHEDULE', { schedule_id: 'none' }],
    ['UNKNOWN_POLICY', { policy_id: 'none' }],
    ['VALIDATION_FAILED', { repository_id: null }],
    ['VALIDATION_FAILED', { flow_type: 'restore' }],
  ] as const)
    expect((await create(more)).body.code).toBe(code)
  await alone.call('DELETE', `/protection-flows/${body.id}`)
})
it('changes what may be changed', async () => {
  const id = await created({ name: 'a' })
  await created({ name: 'b' })
  const put = (body: object) => alone.call('PUT', `/protection-flows/${id}`, body)
  expect((await put({ description: 'x', enabled: false })).body).toMatchObject({ description: 'x', enabled: false })
  expect((await put({ target_id: 'other', flow_type: 'replication' })).body.fields).toMatchObject([
    { field: 'flow_type', code: 'FORBIDDEN' },
    { field: 'target_id', code: 'FORBIDDEN' },
  ])
  expect((await put({ repository_id: null })).body.fields).toMatchObject([{ field: 'repository_id' }])
  expect((await put({ name: 'b' })).body.code).toBe('NAME_TAKEN')
  for (const [code, body] of [
    ['UNKNOWN_REPOSITORY', { repository_id: 'none' }],
    ['UNKNOWN_SCHEDULE', { schedule_id: 'none' }],
    ['UNKNOWN_POLICY', { policy_id: 'none' }],
  ] as const)
    expect((await put(body)).body.code).toBe(code)
  expect((await alone.call('PATCH', `/protection-flows/${id}/enable`)).body.enabled).toBe(true)
  expect((await alone.call('PATCH', `/protection-flows/${id}/disable`)).body.enabled).toBe(false)
})
it('lists and sums up', async () => {
  const { flows } = (await alone.call('GET', '/protection-flows')).body
  expect(flows.map(({ name }: { name: string }) => name)).toEqual(['a', 'b'])
  expect(
    (await alone.call('GET', '/protection-flows?enabled=true&flow_type=backup&target_type=vm')).body,
  ).toMatchObject({ count: 1, flows: [{ name: 'b' }] })
  expect((await alone.call('GET', '/protection-flows?target_type=group')).body.count).toBe(0)
  expect((await alone.call('GET', '/protection-flows/summary')).body).toMatchObject({
    total_flows: 2,
    active_flows: 1,
    enabled_flows: 1,
    disabled_flows: 1,
    backup_flows: 2,
    replication_flows: 0,
    total_executions: 0,
    total_executions_today: 0,
  })
})
it('runs: a full at first, then incrementals', async () => {
  const id = await created({ name: 'run', enabled: false })
  const { status, body } = await execute(id)
  expect(status).toBe(200)
  expect(body).toMatchObject({
    flow_name: 'run',
    status: 'running',
    execution_type: 'manual',
    jobs_created: 1,
    vms_processed: 1,
    triggered_by: 'admin',
    message: '1 of 1 backups started',
  })
  const [job] = body.created_job_ids
  expect((await alone.call('GET', `/backups/${job}`)).body).toMatchObject({
    backup_type: 'full',
    tags: { flow: 'run' },
  })
  const again = await execute(id)
  expect([again.status, again.body.code, again.body.execution_id]).toEqual([409, 'FLOW_RUNNING', body.id])
  alone.clock.advance(89)
  await finishBackups(alone)
  // The end of the backup is the end of the run; nobody has to come by.
  expect(await last(id)).toMatchObject({ status: 'success', jobs_completed: 1, duration_seconds: 90 })
  const second = (await execute(id)).body
  expect((await alone.call('GET', `/backups/${second.created_job_ids[0]}`)).body.backup_type).toBe('incremental')
  await alone.call('POST', `/backups/${second.created_job_ids[0]}/cancel`, {})
  expect(await last(id)).toMatchObject({ status: 'error', jobs_failed: 1 })
  expect((await alone.call('GET', `/protection-flows/${id}/executions`)).body).toMatchObject({
    total: 2,
    executions: [{ id: second.id }, { id: body.id }],
  })
  expect((await alone.call('GET', `/protection-flows/${id}/executions?limit=1&offset=1`)).body.executions).toHaveLength(
    1,
  )
  expect((await alone.call('GET', '/protection-flows/summary')).body).toMatchObject({
    total_executions: 2,
    successful_executions: 1,
    failed_executions: 1,
    total_executions_today: 2,
    successful_executions_today: 1,
    failed_executions_today: 1,
  })
})
it('marks a run by a program as such', async () => {
  const id = await created()
  const token = (await alone.call('POST', '/api-tokens', { name: 'script' })).body.token
  const run = await alone.call('POST', `/protection-flows/${id}/execute`, undefined, { token })
  expect(run.body.execution_type).toBe('api')
  await finishBackups(alone)
})
it('runs a group in its order, as many at once as it says, and goes on after a failure', async () => {
  const vms: Vm[] = []
  for (const name of ['g1', 'g2', 'g3']) vms.push(await readyVm(alone, { name, disks: [2 ** 30] }))
  const group = await groupOf(
    vms.map(({ contextId }) => contextId),
    { max_concurrent_vms: 2 },
  )
  const id = await created({ target_type: 'group', target_id: group })
  const before = alone.node.started.length
  const names = () => alone.node.started.slice(before).map(({ vm_name }) => vm_name)
  expect((await execute(id)).body).toMatchObject({ vms_processed: 3, jobs_created: 2 })
  await round()
  expect(names().sort()).toEqual(['g1', 'g2'])
  await finishBackups(alone, 'failed')
  await round()
  expect(names()[2]).toBe('g3')
  await finishBackups(alone)
  expect(await last(id)).toMatchObject({ status: 'warning', jobs_created: 3, jobs_completed: 1, jobs_failed: 2 })
  expect((await last(id)).error_message).toContain('g1 failed: the source went away')
  await alone.call('DELETE', `/protection-flows/${id}`)
})
it('skips a VM whose backup runs already, and fails one that can not start', async () => {
  const other = (
    await alone.call('POST', '/backups', {
      vm_name: 'web',
      repository_id: web!.repositoryId,
      backup_type: 'full',
    })
  ).body.backup_id
  const group = await groupOf([web!.contextId, db!.contextId])
  const id = await created({ target_type: 'group', target_id: group, repository_id: web!.repositoryId })
  await execute(id)
  await alone.call('POST', `/backups/${other}/cancel`, {})
  await finishBackups(alone)
  expect(await last(id)).toMatchObject({ status: 'warning', jobs_completed: 1, jobs_skipped: 1, jobs_created: 1 })
  alone.node.failure = new HubError('NODE_UNREACHABLE', 'The node does not answer')
  await execute(id)
  alone.node.failure = undefined
  expect(await last(id)).toMatchObject({
    status: 'error',
    jobs_created: 0,
    jobs_failed: 2,
    error_message: expect.stringContaining('NODE_UNREACHABLE'),
  })
})
it('waits for ports that other backups hold', async () => {
  const holder = await alone.call('POST', '/nbd/ports/allocate', { job_id: 'x', export_name: 'x', disk_count: 10 })
  expect(holder.status).toBe(200)
  const group = await groupOf([web!.contextId, db!.contextId])
  const id = await created({ target_type: 'group', target_id: group })
  await execute(id)
  await round()
  expect(await last(id)).toMatchObject({ status: 'running', jobs_created: 1, jobs_failed: 0 })
  await alone.call('POST', '/nbd/ports/release', { job_id: 'x' })
  await round()
  expect(await last(id)).toMatchObject({ jobs_created: 1 })
  alone.clock.advance(11)
  await round()
  expect(await last(id)).toMatchObject({ jobs_created: 2 })
  await finishBackups(alone)
  expect(await last(id)).toMatchObject({ status: 'success', jobs_completed: 2 })
})
it('says so when there is nothing to protect', async () => {
  const id = await created({ target_type: 'group', target_id: await groupOf([]) })
  expect((await execute(id)).body).toMatchObject({ status: 'error', vms_processed: 0 })
})
it('takes up the work of a hub that died in the middle of a start', async () => {
  const id = await created()
  const { id: run } = (await execute(id)).body
  await finishBackups(alone)
  // As if it had taken the job and not come to make its backup.
  await alone.db.pool.query("UPDATE protection_flow_executions SET status = 'running' WHERE id = ?", [run])
  await alone.db.pool.query(
    "UPDATE protection_flow_jobs SET state = 'starting', claimed_at = ? WHERE execution_id = ?",
    [new Date(alone.clock.at.getTime() + 1000), run],
  )
  alone.clock.advance(10)
  const before = alone.node.started.length
  await round()
  expect(alone.node.started).toHaveLength(before)
  alone.clock.advance(10)
  await round()
  expect(alone.node.started).toHaveLength(before + 1)
  await finishBackups(alone)
  expect(await last(id)).toMatchObject({ status: 'success', jobs_created: 2 })
})
it('replicates nothing without a cloud', async () => {
  const id = await created({ flow_type: 'replication', repository_id: null })
  expect((await execute(id)).body.code).toBe('NO_ACTIVE_OSSEA_CONFIG')
  expect((await alone.call('POST', `/protection-flows/${id}/test`)).body).toMatchObject({
    valid: false,
    errors: ['no cloud is configured to replicate to'],
  })
  await alone.call('DELETE', `/protection-flows/${id}`)
})
it('tells before a run what would keep it from running', async () => {
  const check = async (id: string) => (await alone.call('POST', `/protection-flows/${id}/test`)).body
  const id = await created()
  expect(await check(id)).toEqual({ valid: true, errors: [] })
  await alone.call('PATCH', `/repositories/${web!.repositoryId}`, { enabled: false })
  expect((await check(id)).errors).toMatchObject([expect.stringContaining('is disabled')])
  await alone.call('PATCH', `/repositories/${web!.repositoryId}`, { enabled: true })
  alone.agent.down = true
  expect((await check(id)).errors).toMatchObject([expect.stringContaining('does not answer')])
  alone.agent.down = false
  await alone.call('PUT', `/vmware-credentials/${web!.credentialId}`, { is_active: false })
  expect((await check(id)).errors).toMatchObject([expect.stringContaining('no usable credential')])
  await alone.call('PUT', `/vmware-credentials/${web!.credentialId}`, { is_active: true })
  const empty = await created({ target_type: 'group', target_id: await groupOf([]) })
  expect(await check(empty)).toEqual({ valid: false, errors: ['the group has no enabled member'] })
})
it('runs and changes many at once; one that can not keeps none of the others', async () => {
  const [one, two] = [await created(), await created({ target_id: db!.contextId })]
  expect(
    (await alone.call('POST', '/protection-flows/bulk-execute', { flow_ids: [one, 'none', two] })).body,
  ).toMatchObject({
    results: [
      { flow_id: one, success: true, error: null },
      { flow_id: 'none', success: false, execution_id: null, code: 'FLOW_NOT_FOUND' },
      { flow_id: two, success: true },
    ],
    total: 3,
    succeeded: 2,
    failed: 1,
  })
  expect((await alone.call('POST', '/protection-flows/bulk-execute', { flow_ids: [one, one] })).status).toBe(400)
  await finishBackups(alone)
  const bulk = async (action: string, flow_ids: string[]) =>
    (await alone.call('POST', `/protection-flows/bulk-${action}`, { flow_ids })).body
  expect(await bulk('disable', [one, two, 'none'])).toMatchObject({
    updated_count: 2,
    action: 'disable',
    requested: 3,
    successful: 2,
    failed: 1,
    errors: { none: 'There is no such flow' },
  })
  expect((await alone.call('GET', `/protection-flows/${one}`)).body.enabled).toBe(false)
  expect(await bulk('enable', [one])).toMatchObject({ updated_count: 1 })
  expect(await bulk('delete', [one, two])).toMatchObject({ deleted_count: 2, action: 'delete' })
  for (const [method, tail, body] of [
    ['GET', ''],
    ['PUT', '', {}],
    ['DELETE', ''],
    ['POST', '/execute'],
    ['GET', '/executions'],
    ['GET', '/status'],
    ['PATCH', '/enable'],
    ['PATCH', '/disable'],
    ['POST', '/test'],
  ] as const)
    expect((await alone.call(method, `/protection-flows/${one}${tail}`, body)).body.code).toBe('FLOW_NOT_FOUND')
})
it('lets running backups go on when their flow is removed', async () => {
  const id = await created()
  const [job] = (await execute(id)).body.created_job_ids
  expect((await alone.call('DELETE', `/protection-flows/${id}`)).body).toMatchObject({ deleted_flow_id: id })
  await round()
  expect((await alone.call('GET', `/backups/${job}`)).body.status).toBe('started')
  await finishBackups(alone)
})
