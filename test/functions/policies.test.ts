import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let [primary, second, third] = ['', '', '']
const repository = async (name: string): Promise<string> =>
  (await alone.call('POST', '/repositories', { name, type: 'local', config: { path: `/backup/${name}` } })).body.id
beforeAll(async () => {
  alone = await openAlone()
  ;[primary, second, third] = [await repository('primary'), await repository('second'), await repository('third')]
})
afterAll(() => alone.close())
const create = (more: object = {}) =>
  alone.call('POST', '/policies', { name: 'gold', primary_repository_id: primary, ...more })

it('creates a policy with its rules, each at its place', async () => {
  const { status, body } = await create({
    copy_rules: [{ destination_repository_id: second }, { destination_repository_id: third, copy_mode: 'manual' }],
  })
  expect(status).toBe(201)
  expect(body).toMatchObject({ name: 'gold', enabled: true, retention_days: 30, keep: null })
  expect(body.copy_rules).toMatchObject([
    { destination_repository_id: second, copy_mode: 'immediate', priority: 1, verify_after_copy: true, enabled: true },
    { destination_repository_id: third, copy_mode: 'manual', priority: 2, policy_id: body.id },
  ])
  expect((await alone.call('GET', `/policies/${body.id}`)).body).toEqual(body)
})
it('refuses what can not be one', async () => {
  expect((await create()).body.code).toBe('NAME_TAKEN')
  expect((await create({ name: 'x', primary_repository_id: 'none' })).body.code).toBe('UNKNOWN_REPOSITORY')
  const withRules = async (...ids: string[]) =>
    (await create({ name: 'x', copy_rules: ids.map((destination_repository_id) => ({ destination_repository_id })) }))
      .body
  expect((await withRules(primary)).fields).toMatchObject([
    { field: 'copy_rules[0].destination_repository_id', code: 'FORBIDDEN' },
  ])
  expect((await withRules(second, second)).fields).toMatchObject([
    { field: 'copy_rules[1].destination_repository_id', code: 'FORBIDDEN' },
  ])
  expect((await withRules('none')).code).toBe('UNKNOWN_REPOSITORY')
  expect((await create({ name: 'x', retention_days: 3651 })).body.fields[0]).toMatchObject({ code: 'RANGE' })
  expect((await create({ name: 'x', copy_rules: Array(17).fill({ destination_repository_id: second }) })).status).toBe(
    400,
  )
  const bad = { destination_repository_id: second, copy_mode: 'sometimes' }
  expect((await create({ name: 'x', copy_rules: [bad] })).body.fields).toMatchObject([
    { field: 'copy_rules[0].copy_mode', code: 'ENUM' },
  ])
})
it('lists them as a bare array with the total in a header', async () => {
  await create({ name: 'bronze', keep: { daily: 7 } })
  const { body, headers } = await alone.call('GET', '/policies?limit=1')
  expect(body).toMatchObject([{ name: 'bronze', keep: { last: 0, daily: 7 }, copy_rules: [] }])
  expect(headers.get('X-Total-Count')).toBe('2')
})
it('changes what is sent, and replaces rules as a whole', async () => {
  const { id } = (await create({ name: 'silver', copy_rules: [{ destination_repository_id: second }] })).body
  const path = `/policies/${id}`
  expect((await alone.call('PUT', path, { retention_days: 7 })).body).toMatchObject({
    name: 'silver',
    retention_days: 7,
    copy_rules: [{ destination_repository_id: second }],
  })
  expect((await alone.call('PUT', path, { primary_repository_id: second })).body.fields).toMatchObject([
    { code: 'FORBIDDEN' },
  ])
  expect((await alone.call('PUT', path, { primary_repository_id: 'none' })).body.code).toBe('UNKNOWN_REPOSITORY')
  expect((await alone.call('PUT', path, { name: 'gold' })).body.code).toBe('NAME_TAKEN')
  expect(
    (await alone.call('PUT', path, { copy_rules: [{ destination_repository_id: third }] })).body.copy_rules,
  ).toMatchObject([{ destination_repository_id: third }])
})
it('removes one; what used it loses the link', async () => {
  const vm = await readyVm(alone)
  const { id } = (await create({ name: 'gone' })).body
  const flow = (
    await alone.call('POST', '/protection-flows', {
      name: 'flow',
      flow_type: 'backup',
      target_type: 'vm',
      target_id: vm.contextId,
      repository_id: vm.repositoryId,
      policy_id: id,
    })
  ).body
  expect(flow.policy_name).toBe('gone')
  expect((await alone.call('DELETE', `/policies/${id}`)).body).toMatchObject({ id })
  expect((await alone.call('GET', `/protection-flows/${flow.id}`)).body).toMatchObject({
    policy_id: null,
    policy_name: null,
  })
  for (const [method, body] of [['GET'], ['PUT', {}], ['DELETE']] as const)
    expect((await alone.call(method, `/policies/${id}`, body)).body.code).toBe('POLICY_NOT_FOUND')
  expect((await alone.call('GET', `/policies/${randomUUID()}`)).status).toBe(404)
})
