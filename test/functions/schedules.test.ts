import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runSchedules } from '../../workflows/run-schedules.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { finishBackups } from '../support/flows.ts'

let alone: Alone
let vm: { contextId: string; repositoryId: string }
/** 2026-03-01 is a Sunday. */
const noon = new Date('2026-03-01T12:00:00.000Z')
beforeAll(async () => {
  alone = await openAlone({ now: noon })
  vm = await readyVm(alone)
})
afterAll(() => alone.close())

const create = async (name: string, more: object = {}) =>
  alone.call('POST', '/schedules', { name, cron_expression: '0 13 * * *', timezone: 'UTC', ...more })
const flowUnder = async (schedule_id: string, more: object = {}): Promise<string> => {
  const { status, body } = await alone.call('POST', '/protection-flows', {
    name: `flow ${randomUUID()}`,
    flow_type: 'backup',
    target_type: 'vm',
    target_id: vm.contextId,
    repository_id: vm.repositoryId,
    schedule_id,
    ...more,
  })
  expect(status, JSON.stringify(body)).toBe(201)
  return body.id
}
const runs = async (id: string) => (await alone.call('GET', `/schedules/${id}/executions`)).body.executions
const round = () => runSchedules(alone.bindings)
const goTo = (time: string) => {
  alone.clock.at = new Date(time)
  // The tokens end with the day.
  return alone.freshToken().then((token) => {
    alone.tokens.admin = token
  })
}
/** Nothing of a test runs in the next. */
const remove = async (id: string, ...flows: string[]) => {
  for (const flow of flows) await alone.call('DELETE', `/protection-flows/${flow}`)
  expect((await alone.call('DELETE', `/schedules/${id}`)).status).toBe(200)
}

it('creates, shows, lists and changes schedules; the clock follows', async () => {
  const { status, body } = await create('nightly', { timezone: 'Europe/Berlin', description: 'x' })
  expect(status).toBe(201)
  expect(body).toMatchObject({
    name: 'nightly',
    enabled: true,
    skip_if_running: true,
    max_concurrent_jobs: 1,
    replication_type: 'auto',
    retry_attempts: 3,
    retry_delay_minutes: 30,
    schedule_type: 'cron',
    next_execution: '2026-03-02T12:00:00.000Z',
    last_execution: null,
    created_by: 'admin',
  })
  const path = `/schedules/${body.id}`
  expect((await alone.call('GET', path)).body).toEqual(body)
  expect((await alone.call('PUT', path, { timezone: 'UTC', description: null })).body).toMatchObject({
    next_execution: '2026-03-01T13:00:00.000Z',
    description: null,
    cron_expression: '0 13 * * *',
  })
  expect((await alone.call('POST', `${path}/enable`, { enabled: false })).body).toMatchObject({
    enabled: false,
    next_execution: null,
  })
  await create('always')
  expect((await alone.call('GET', '/schedules')).body).toMatchObject({
    schedules: [{ name: 'always' }, { name: 'nightly' }],
    total: 2,
    enabled_count: 1,
    disabled_count: 1,
  })
  expect((await alone.call('GET', '/schedules?enabled_only=1')).body).toMatchObject({ count: 1, disabled_count: 1 })
  expect((await alone.call('POST', `${path}/enable`)).body).toMatchObject({
    enabled: true,
    next_execution: '2026-03-01T13:00:00.000Z',
  })
  for (const { id } of (await alone.call('GET', '/schedules')).body.schedules) await remove(id)
})
it('refuses what can not be one', async () => {
  const { id } = (await create('first')).body
  expect((await create('first')).body.code).toBe('NAME_TAKEN')
  expect((await create('x', { cron_expression: '61 * * * *', timezone: 'UTC' })).body.fields).toMatchObject([
    { field: 'cron_expression', code: 'FORMAT' },
  ])
  expect((await create('x', { timezone: 'Mars' })).body.fields).toMatchObject([{ field: 'timezone' }])
  for (const bad of [{ max_concurrent_jobs: 101 }, { retry_attempts: 11 }, { retry_delay_minutes: 1441 }])
    expect((await create('x', bad)).body.fields).toMatchObject([{ code: 'RANGE' }])
  expect((await create('x', { schedule_type: 'chain' })).body.fields).toMatchObject([
    { field: 'chain_parent_schedule_id', code: 'REQUIRED' },
  ])
  expect((await create('x', { schedule_type: 'chain', chain_parent_schedule_id: 'none' })).body.code).toBe(
    'UNKNOWN_SCHEDULE',
  )
  const second = (await create('second', { schedule_type: 'chain', chain_parent_schedule_id: id })).body.id
  const circle = { schedule_type: 'chain', chain_parent_schedule_id: second }
  expect((await alone.call('PUT', `/schedules/${id}`, circle)).body.fields).toMatchObject([{ code: 'FORBIDDEN' }])
  expect((await alone.call('PUT', `/schedules/${id}`, {})).body.code).toBe('VALIDATION_FAILED')
  expect((await alone.call('PUT', `/schedules/${id}`, { name: 'second' })).body.code).toBe('NAME_TAKEN')
  expect((await alone.call('PUT', `/schedules/${id}`, { chain_parent_schedule_id: 'none' })).body.code).toBe(
    'UNKNOWN_SCHEDULE',
  )
  await alone.call('POST', '/machine-groups', { name: 'g', schedule_id: id })
  const flow = await flowUnder(id, { name: 'f' })
  expect((await alone.call('DELETE', `/schedules/${id}`)).body).toMatchObject({
    code: 'SCHEDULE_IN_USE',
    groups: ['g'],
    flows: ['f'],
  })
  const group = (await alone.call('GET', '/machine-groups')).body.groups[0].id
  await alone.call('DELETE', `/machine-groups/${group}`)
  await remove(id, flow)
  expect((await alone.call('GET', `/schedules/${second}`)).body.chain_parent_schedule_id).toBeNull()
  await remove(second)
  for (const [method, tail, body] of [
    ['GET', ''],
    ['PUT', '', { name: 'x' }],
    ['DELETE', ''],
    ['POST', '/enable', {}],
    ['POST', '/trigger', {}],
    ['GET', '/executions'],
  ] as const)
    expect((await alone.call(method, `/schedules/${id}${tail}`, body)).body.code).toBe('SCHEDULE_NOT_FOUND')
})
it('begins what is due exactly once, however many hubs look', async () => {
  const { id } = (await create('daily')).body
  const flow = await flowUnder(id)
  await round()
  expect(await runs(id)).toEqual([])
  await goTo('2026-03-01T13:00:01.000Z')
  await Promise.all([round(), round(), round()])
  await round()
  expect(alone.node.started).toHaveLength(1)
  expect(await runs(id)).toMatchObject([
    {
      status: 'running',
      scheduled_at: '2026-03-01T13:00:00.000Z',
      started_at: '2026-03-01T13:00:01.000Z',
      execution_type: 'scheduled',
      jobs_created: 1,
      vms_processed: 1,
      summary: { not_begun: {} },
    },
  ])
  expect((await alone.call('GET', `/schedules/${id}`)).body).toMatchObject({
    next_execution: '2026-03-02T13:00:00.000Z',
    last_execution: '2026-03-01T13:00:01.000Z',
  })
  alone.clock.advance(60)
  await finishBackups(alone)
  await round()
  expect(await runs(id)).toMatchObject([{ status: 'completed', jobs_successful: 1, duration_seconds: 60 }])
  expect((await alone.call('GET', `/protection-flows/${flow}`)).body.status).toMatchObject({
    last_execution_status: 'success',
    next_execution_time: '2026-03-02T13:00:00.000Z',
    total_executions: 1,
    successful_executions: 1,
  })
  await remove(id, flow)
})
it('names what was missed and does not make it up', async () => {
  const { id } = (await create('hourly', { cron_expression: '0 * * * *' })).body
  const flow = await flowUnder(id)
  await goTo('2026-03-01T17:30:00.000Z')
  await round()
  await round()
  expect(await runs(id)).toMatchObject([
    {
      status: 'skipped',
      jobs_created: 0,
      error_message: expect.stringContaining('missed: no hub was running at 4 times'),
      summary: { missed_count: 4 },
    },
  ])
  // A hub that comes back within minutes is only late; what lies before that was missed.
  await goTo('2026-03-01T19:02:00.000Z')
  await round()
  expect(await runs(id)).toMatchObject([
    { status: 'running', scheduled_at: '2026-03-01T19:00:00.000Z' },
    { status: 'skipped', scheduled_at: '2026-03-01T18:00:00.000Z', summary: { missed_count: 1 } },
    {},
  ])
  await finishBackups(alone)
  await round()
  await remove(id, flow)
})
it('skips a run while the one before goes on, if it is told to', async () => {
  const { id } = (await create('often', { cron_expression: '*/10 * * * *' })).body
  const flow = await flowUnder(id)
  await goTo('2026-03-01T19:10:00.000Z')
  await round()
  await goTo('2026-03-01T19:20:00.000Z')
  await round()
  expect(await runs(id)).toMatchObject([
    { status: 'skipped', error_message: expect.stringContaining('still going on') },
    { status: 'running' },
  ])
  expect((await alone.call('POST', `/schedules/${id}/trigger`, {})).body).toMatchObject({
    code: 'JOB_RUNNING',
    execution_id: (await runs(id))[1].execution_id,
  })
  await alone.call('PUT', `/schedules/${id}`, { skip_if_running: false })
  await goTo('2026-03-01T19:30:00.000Z')
  await round()
  // The flow itself runs once at a time.
  expect((await runs(id))[0]).toMatchObject({
    status: 'failed',
    jobs_created: 0,
    summary: { flows: [], not_begun: { [await nameOf(flow)]: expect.stringContaining('FLOW_RUNNING') } },
  })
  await finishBackups(alone)
  await round()
  await remove(id, flow)
})
const nameOf = async (flow: string): Promise<string> => (await alone.call('GET', `/protection-flows/${flow}`)).body.name

it('is run by hand', async () => {
  const { id } = (await create('by hand')).body
  const flow = await flowUnder(id)
  const { status, body } = await alone.call('POST', `/schedules/${id}/trigger`, { reason: 'before the update' })
  expect(status).toBe(200)
  expect(body).toMatchObject({
    schedule_name: 'by hand',
    status: 'running',
    triggered_by: 'admin',
    reason: 'before the update',
    jobs_created: 1,
    vms_processed: 1,
    summary: { flows: [await nameOf(flow)] },
  })
  await finishBackups(alone)
  await round()
  expect(await runs(id)).toMatchObject([
    { execution_id: body.execution_id, status: 'completed', execution_type: 'manual', triggered_by: 'admin' },
  ])
  await alone.call('POST', `/schedules/${id}/enable`, { enabled: false })
  expect((await alone.call('POST', `/schedules/${id}/trigger`, {})).body.code).toBe('SCHEDULE_DISABLED')
  await remove(id, flow)
})
it('tries a VM again that failed, as often and as late as it says', async () => {
  const { id } = (await create('again', { retry_attempts: 1, retry_delay_minutes: 10 })).body
  const flow = await flowUnder(id)
  await alone.call('POST', `/schedules/${id}/trigger`, {})
  const before = alone.node.started.length
  await finishBackups(alone, 'failed')
  await round()
  expect(alone.node.started).toHaveLength(before)
  expect((await alone.call('GET', `/protection-flows/${flow}/status`)).body.last_execution).toMatchObject({
    status: 'running',
    jobs_failed: 0,
  })
  alone.clock.advance(601)
  await round()
  expect(alone.node.started).toHaveLength(before + 1)
  await finishBackups(alone, 'failed')
  await round()
  expect((await alone.call('GET', `/protection-flows/${flow}/status`)).body).toMatchObject({
    last_execution: { status: 'error', jobs_created: 2, jobs_failed: 1, jobs_completed: 0 },
    failed_executions: 1,
  })
  expect(await runs(id)).toMatchObject([{ status: 'failed', jobs_failed: 1 }])
  await remove(id, flow)
})
it('runs a chain after the schedule before it', async () => {
  const first = (await create('first')).body.id
  const second = (
    await create('then', { schedule_type: 'chain', chain_parent_schedule_id: first, chain_delay_minutes: 5 })
  ).body
  expect(second.next_execution).toBeNull()
  const flow = await flowUnder(second.id)
  await alone.call('POST', `/schedules/${first}/trigger`, {})
  await round()
  const [{ completed_at }] = await runs(first)
  const next = (await alone.call('GET', `/schedules/${second.id}`)).body.next_execution
  expect(Date.parse(next) - Date.parse(completed_at)).toBe(5 * 60_000)
  alone.clock.advance(301)
  await round()
  expect(await runs(second.id)).toMatchObject([{ status: 'running', scheduled_at: next }])
  await finishBackups(alone)
  await round()
  expect((await alone.call('GET', `/schedules/${second.id}`)).body.next_execution).toBeNull()
  await remove(second.id, flow)
  await remove(first)
})
it('pages the runs of a schedule', async () => {
  const { id } = (await create('paged')).body
  for (let at = 0; at < 3; at++) {
    await alone.call('POST', `/schedules/${id}/trigger`, {})
    alone.clock.advance(1)
  }
  expect((await alone.call('GET', `/schedules/${id}/executions?limit=2`)).body).toMatchObject({
    count: 2,
    total: 3,
    page: 1,
    page_size: 2,
    has_more: true,
  })
  expect((await alone.call('GET', `/schedules/${id}/executions?limit=2&page=2`)).body).toMatchObject({
    count: 1,
    has_more: false,
  })
  await remove(id)
})
