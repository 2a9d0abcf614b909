import { afterAll, beforeAll, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { type Alone, gibibyte, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let contextId: string
beforeAll(async () => {
  alone = await openAlone()
  contextId = (await readyVm(alone, { name: 'db 1/ä' })).contextId
})
afterAll(() => alone.close())

const source = { vcenter: 'vc2.example', username: 'u', password: 'p', datacenter: 'DC2' }

it('lists managed VMs, searches and pages', async () => {
  await readyVm(alone, { name: 'app' })
  const { body } = await alone.call('GET', '/vm-contexts')
  expect(body.vm_contexts.map((vm: { vm_name: string }) => vm.vm_name)).toEqual(['app', 'db 1/ä'])
  expect(body).toMatchObject({ count: 2, total: 2, total_count: 2 })
  expect(body.vm_contexts[0]).toMatchObject({
    current_status: 'ready',
    disk_count: 2,
    last_backup: null,
    groups: [],
    auto_added: true,
    power_state: 'poweredOn',
  })
  expect((await alone.call('GET', '/vm-contexts?search=DB')).body.count).toBe(1)
  expect((await alone.call('GET', '/vm-contexts?search=%25')).body.count).toBe(0)
  expect((await alone.call('GET', '/vm-contexts?limit=1&offset=1')).body).toMatchObject({ count: 1, total_count: 2 })
  expect((await alone.call('GET', '/vm-contexts?offset=9')).body.vm_contexts).toEqual([])
  expect((await alone.call('GET', '/vm-contexts?limit=1001')).body.fields).toMatchObject([
    { field: 'limit', code: 'RANGE' },
  ])
  expect((await alone.call('GET', '/vm-contexts?status=nonsense')).body.fields).toMatchObject([
    { field: 'status', code: 'ENUM' },
  ])
})
it('shows a VM by name and by either id, whatever its name holds', async () => {
  const name = encodeURIComponent('db 1/ä')
  expect((await alone.call('GET', `/vm-contexts/${name}`)).body.context.context_id).toBe(contextId)
  expect((await alone.call('GET', `/vm-contexts/by-id/${contextId}`)).body.context.vm_name).toBe('db 1/ä')
  expect((await alone.call('GET', `/vm-contexts/${name}/disks`)).body).toMatchObject({
    total_disks: 2,
    disks: [
      { disk_id: 'disk-2000', size_gb: 1, capacity_bytes: gibibyte },
      { disk_index: 1, vmware_disk_key: 2001 },
    ],
  })
  expect((await alone.call('GET', `/vm-contexts/${contextId}/disks`)).body.vm_name).toBe('db 1/ä')
  expect((await alone.call('GET', `/vm-contexts/${contextId}/recent-jobs`)).body).toMatchObject({
    context_id: contextId,
    jobs: [],
    count: 0,
  })
  for (const path of [
    '/vm-contexts/none',
    '/vm-contexts/by-id/none',
    '/vm-contexts/none/disks',
    '/vm-contexts/none/recent-jobs',
  ])
    expect((await alone.call('GET', path)).body.code).toBe('VM_NOT_FOUND')
})
it('says so when several vCenters have a VM of that name', async () => {
  alone.node.vms = [{ id: 'other', name: 'app', disks: [] }] as unknown as typeof alone.node.vms
  await alone.call('POST', '/discovery/bulk-add', { ...source, selected_vms: ['app'] })
  const { status, body } = await alone.call('GET', '/vm-contexts/app')
  expect([status, body.code, body.context_ids.length]).toEqual([409, 'VM_AMBIGUOUS', 2])
})
it('lists VMs without a group at both addresses', async () => {
  const one = await alone.call('GET', '/discovery/ungrouped-vms')
  expect(one.body.total).toBe(3)
  expect((await alone.call('GET', '/vm-contexts/ungrouped')).body.vms).toEqual(one.body.vms)
})

it('replaces the inventory of one vCenter and datacenter', async () => {
  const push = (vms: object[], datacenter = 'DC1') =>
    alone.call('POST', '/vms/inventory', { vcenter: { host: 'vc', datacenter }, vms })
  expect(
    (
      await push([
        { id: 'vm-1', name: 'b', cpus: 4, guest_os: 'linux' },
        { id: 'vm-2', name: 'a' },
      ])
    ).body.vm_count,
  ).toBe(2)
  await push([{ id: 'vm-9', name: 'z' }], 'DC2')
  expect((await alone.call('GET', '/vms')).body.vms.map((vm: { name: string }) => vm.name)).toEqual(['a', 'b', 'z'])
  expect((await alone.call('GET', '/vms/vm-1')).body).toMatchObject({
    cpus: 4,
    num_cpu: 4,
    os_type: 'linux',
    guest_os: 'linux',
    datacenter: 'DC1',
    disks: [],
  })
  await push([{ id: 'vm-2', name: 'a2' }])
  expect((await alone.call('GET', '/vms?search=A2')).body.count).toBe(1)
  expect((await alone.call('GET', '/vms/vm-1')).body.code).toBe('VM_NOT_FOUND')
  expect((await push([{ id: '', name: 'x' }])).body.fields).toMatchObject([{ field: 'vms[0].id', code: 'LENGTH' }])
})

it('previews a discovery and writes nothing', async () => {
  alone.node.vms = [
    { id: 'n1', name: 'new-one', disks: [{ id: 'd', size_gb: 2 }] },
    { id: 'vm-db 1/ä', name: 'db 1/ä' },
  ] as unknown as typeof alone.node.vms
  const { body } = await alone.call('POST', '/discovery/preview', { credential_id: 1 })
  expect(body).toMatchObject({ total_discovered: 2, new_vms: 1, existing_vms: 1, vcenter: 'vc.example', filter: null })
  expect(body.vms[1]).toMatchObject({
    name: 'new-one',
    existing: false,
    context_id: null,
    disks: [{ size_gb: 2, capacity_bytes: 2 * gibibyte }],
  })
  expect(body.processing_time).toBeGreaterThanOrEqual(body.processing_time_ms * 1e6 - 1e6)
})
it('discovers, adds what is asked for, and brings known VMs up to date', async () => {
  const found = await alone.call('POST', '/discovery/discover-vms', {
    credential_id: 1,
    filter: 'NEW',
    create_context: true,
  })
  expect(found.body).toMatchObject({
    discovery_count: 1,
    status: 'success',
    addition_result: {
      successfully_added: 1,
      skipped: 0,
      failed: 0,
      added_vms: [{ vm_name: 'new-one', status: 'ready' }],
    },
  })
  alone.node.vms = [
    {
      id: 'n1',
      name: 'new-one',
      disks: [
        { id: 'd', size_gb: 2 },
        { id: 'e', size_gb: 1 },
      ],
    },
  ] as unknown as typeof alone.node.vms
  const again = await alone.call('POST', '/discovery/add-vms', { credential_id: 1, vm_names: ['new-one', 'ghost'] })
  expect(again.body).toMatchObject({ success: false, vms_added: 0, vms_skipped: 1, vms_failed: 1, total_vms: 2 })
  expect((await alone.call('GET', '/vm-contexts/new-one/disks')).body.total_disks).toBe(2)
  expect((await alone.call('POST', '/discovery/bulk-add', { ...source, selected_vms: ['ghost'] })).body).toMatchObject({
    total_requested: 1,
    failed: 1,
  })
})
it('sends the password to the node and to nobody else', async () => {
  expect(alone.node.discovered.at(0)).toMatchObject({
    vcenter: 'vc.example',
    username: 'backup',
    password: 'secret-of-vc',
  })
  expect(JSON.stringify((await alone.call('GET', '/vmware-credentials')).body)).not.toContain('secret-of-vc')
  const [rows] = await alone.db.pool.query('SELECT password_encrypted FROM vmware_credentials')
  expect(JSON.stringify(rows)).not.toContain('secret-of-vc')
})
it('says what is wrong with a discovery', async () => {
  const discover = async (body: object) => (await alone.call('POST', '/discovery/preview', body)).body
  expect((await discover({ vcenter: 'v' })).fields.map((field: { field: string }) => field.field)).toEqual([
    'username',
    'password',
    'datacenter',
  ])
  expect((await discover({ credential_id: 99 })).code).toBe('UNKNOWN_CREDENTIAL')
  await alone.call('PUT', '/vmware-credentials/1', { is_active: false })
  expect((await discover({ credential_id: 1 })).code).toBe('UNKNOWN_CREDENTIAL')
  alone.node.failure = new HubError('NODE_UNREACHABLE', 'gone')
  expect(await discover(source)).toMatchObject({ code: 'NODE_UNREACHABLE' })
  alone.node.failure = new HubError('DISCOVERY_FAILED', 'refused')
  expect(await discover(source)).toMatchObject({ code: 'DISCOVERY_FAILED' })
  alone.node.failure = undefined
})
