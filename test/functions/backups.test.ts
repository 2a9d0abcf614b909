import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { applyRetention } from '../../workflows/apply-retention.ts'
import { detectStale } from '../../workflows/detect-stale.ts'
import { reconcileJobs } from '../../workflows/reconcile-jobs.ts'
import { type Alone, completedBackup, gibibyte, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
let count = 0
beforeAll(async () => {
  alone = await openAlone()
})
beforeEach(async () => {
  alone.node.failure = undefined
  alone.agent.down = false
  alone.agent.busyPorts.clear()
  alone.clock.advance(5)
  vm = await readyVm(alone, { name: `vm${++count}` })
})
afterAll(() => alone.close())

const start = (more: object = {}) =>
  alone.call('POST', '/backups', { vm_name: vm.vmName, repository_id: vm.repositoryId, backup_type: 'full', ...more })
const show = async (id: string) => (await alone.call('GET', `/backups/${id}`)).body
const complete = (id: string, body: object, token?: string) =>
  alone.call('POST', `/backups/${id}/complete`, body, token === undefined ? {} : { token })
const report = (id: string, body: object, token?: string) =>
  alone.call('POST', `/telemetry/backup/${id}`, body, token === undefined ? {} : { token })
/** Everything that a job can hold. */
const held = async () => ({
  exports: alone.agent.exports.size,
  files: alone.agent.files.size,
  ports: (await alone.call('GET', '/nbd/ports/status')).body.allocated,
  jobs: (await alone.call('GET', '/backups')).body.total,
})

describe('start', () => {
  it('answers with the exports once the node has accepted', async () => {
    const { status, body } = await start({ tags: { why: 'test' } })
    expect(status).toBe(200)
    expect(body.backup_id).toMatch(new RegExp(`^backup-${vm.vmName}-\\d+$`))
    expect(body).toMatchObject({
      status: 'started',
      backup_type: 'full',
      disk_count: 2,
      total_bytes: 1.5 * gibibyte,
      tags: { why: 'test' },
      progress_percent: 0,
      parent_backup_id: null,
    })
    expect(body.disk_results).toMatchObject([
      { disk_index: 0, vmware_disk_key: 2000, nbd_export_name: `${vm.vmName}-disk-2000`, status: 'qemu_started' },
      { disk_index: 1, vmware_disk_key: 2001 },
    ])
    expect(body.nbd_targets_string).toBe(
      body.disk_results
        .map((disk: any) => `${disk.vmware_disk_key}:nbd://127.0.0.1:${disk.nbd_port}/${disk.nbd_export_name}`)
        .join(','),
    )
    expect(alone.node.started.at(-1)).toMatchObject({
      job_id: body.backup_id,
      vm_name: vm.vmName,
      vcenter_host: 'vc.example',
      vcenter_password: 'secret-of-vc',
      nbd_targets: body.nbd_targets_string,
      backup_type: 'full',
      hub_url: 'http://127.0.0.1:8082',
    })
    expect(
      (await alone.call('GET', '/nbd/qemu-nbd/list')).body.processes.filter(
        (one: any) => one.job_id === body.backup_id,
      ),
    ).toHaveLength(2)
    await alone.call('POST', `/backups/${body.backup_id}/cancel`)
  })
  it('refuses what it must, in the order of the contract', async () => {
    expect((await start({ disk_id: 0 })).body).toMatchObject({
      code: 'DISK_ID_NOT_ALLOWED',
      fields: [{ field: 'disk_id', code: 'FORBIDDEN' }],
    })
    expect((await start({ backup_type: 'differential' })).body.code).toBe('INVALID_BACKUP_TYPE')
    expect(
      (await alone.call('POST', '/backups', { backup_type: 'full' })).body.fields.map((one: any) => one.field),
    ).toEqual(['repository_id', 'vm_name'])
    expect((await start({ vm_name: 'nobody' })).body.code).toBe('VM_NOT_FOUND')
    expect((await start({ repository_id: 'nothing' })).body.code).toBe('UNKNOWN_REPOSITORY')
    expect((await start({ policy_id: 'nothing' })).body.code).toBe('UNKNOWN_POLICY')
    expect((await start({ backup_type: 'incremental' })).body).toMatchObject({
      code: 'FULL_BACKUP_REQUIRED',
      error: 'full backup required',
    })
    expect((await start({ tags: { '': 'x' } })).status).toBe(400)
    await alone.call('PATCH', `/repositories/${vm.repositoryId}`, { enabled: false })
    expect((await start()).body.code).toBe('REPOSITORY_DISABLED')
    await alone.call('PATCH', `/repositories/${vm.repositoryId}`, { enabled: true })
    await alone.call('PUT', `/vmware-credentials/${vm.credentialId}`, { is_active: false })
    expect((await start()).body.code).toBe('CREDENTIAL_MISSING')
    await alone.call('PUT', `/vmware-credentials/${vm.credentialId}`, { is_active: true })
    const empty = await readyVm(alone, { name: 'diskless', disks: [] })
    expect(
      (
        await alone.call('POST', '/backups', {
          vm_name: 'diskless',
          repository_id: empty.repositoryId,
          backup_type: 'full',
        })
      ).body.code,
    ).toBe('VM_HAS_NO_DISKS')
  })
  it('leaves nothing behind when a step fails', async () => {
    const before = await held()
    alone.node.failure = new HubError('NODE_UNREACHABLE', 'gone')
    expect((await start()).body.code).toBe('NODE_UNREACHABLE')
    alone.node.failure = new HubError('NODE_ERROR', 'no')
    expect((await start()).body.code).toBe('NODE_ERROR')
    alone.node.failure = undefined
    const room = alone.agent.storage.available_bytes
    alone.agent.storage.available_bytes = 1000
    expect((await start()).body).toMatchObject({
      code: 'INSUFFICIENT_STORAGE',
      required_bytes: 1.5 * gibibyte,
      available_bytes: 1000,
    })
    alone.agent.storage.available_bytes = room
    for (let port = 10100; port <= 10199; port++) alone.agent.busyPorts.add(port)
    expect((await start()).body.code).toBe('NBD_PORTS_EXHAUSTED')
    expect(await held()).toEqual(before)
  })
  it('moves to another port when somebody sits on one', async () => {
    alone.agent.busyPorts.add(10100).add(10102)
    const { body } = await start()
    expect(body.disk_results.map((disk: any) => disk.nbd_port)).not.toContain(10100)
    await alone.call('POST', `/backups/${body.backup_id}/cancel`)
  })
  it('lets exactly one of many equal requests win', async () => {
    const replies = await Promise.all(Array.from({ length: 20 }, () => start()))
    const won = replies.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    for (const { body } of replies.filter(({ status }) => status !== 200))
      expect(body).toMatchObject({ code: 'BACKUP_RUNNING', backup_id: won[0]!.body.backup_id })
    await alone.call('POST', `/backups/${won[0]!.body.backup_id}/cancel`)
  })
  it('backs up VMs whose names are no file names', async () => {
    for (const name of ['../../etc/cron.d/x', '-rf', '.', 'a\nb', '💾'.repeat(127)]) {
      const odd = await readyVm(alone, { name, disks: [gibibyte] })
      const { backup_id, disk_results } = await completedBackup(alone, odd)
      expect(backup_id.length).toBeLessThanOrEqual(64)
      expect(disk_results[0]!.nbd_export_name).toMatch(/^[A-Za-z0-9._-]{1,63}$/)
      expect(await show(backup_id)).toMatchObject({ vm_name: name, status: 'completed' })
    }
  })
})

describe('complete', () => {
  it('completes the job with its last disk, and not before', async () => {
    const { body } = await start()
    expect((await complete(body.backup_id, { change_id: 'x' })).body).toMatchObject({ code: 'DISK_ID_REQUIRED' })
    expect((await complete(body.backup_id, { disk_id: 0, change_id: 'c0', bytes_transferred: 77 })).body).toMatchObject(
      { status: 'completed', job_status: 'in_progress', disks_completed: 1, disks_total: 2 },
    )
    expect((await alone.call('GET', `/backups/changeid?vm_name=${vm.vmName}&disk_id=0`)).body.code).toBe('NO_CHANGE_ID')
    expect((await complete(body.backup_id, { disk_id: 1, change_id: 'c1' })).body).toMatchObject({
      job_status: 'completed',
      disks_completed: 2,
      change_id: 'c1',
    })
    const backup = await show(body.backup_id)
    expect(backup).toMatchObject({
      status: 'completed',
      progress_percent: 100,
      current_phase: 'completed',
      bytes_transferred: 77,
      disks: [{ change_id: 'c0', status: 'completed', stored_bytes: 196608 }, { change_id: 'c1' }],
    })
    expect((await alone.call('GET', `/backups/changeid?vm_name=${vm.vmName}&disk_id=1`)).body).toMatchObject({
      change_id: 'c1',
      disk_id: '1',
      backup_id: body.backup_id,
    })
    expect(alone.agent.exports.size).toBe(0)
  })
  it('has no second effect, and keeps the first change id', async () => {
    const { backup_id } = await completedBackup(alone, vm)
    const again = { disk_id: 0, change_id: `change ${backup_id} 0` }
    expect((await complete(backup_id, again)).status).toBe(200)
    expect((await complete(backup_id, { ...again, change_id: 'other' })).body.code).toBe('CHANGE_ID_CONFLICT')
    expect((await complete(backup_id, { disk_id: 7, change_id: 'x' })).body.code).toBe('DISK_NOT_FOUND')
    expect((await complete('backup-none-1', { change_id: 'x' })).body.code).toBe('BACKUP_NOT_FOUND')
  })
  it('checks the forms of its body', async () => {
    const { body } = await start()
    const fields = async (given: object) =>
      (await complete(body.backup_id, given)).body.fields.map((one: any) => `${one.field} ${one.code}`)
    expect(await fields({})).toEqual(['change_id REQUIRED'])
    expect(await fields({ change_id: '' })).toEqual(['change_id LENGTH'])
    for (const disk_id of [-1, 1.5, '0', true, null, 2 ** 53 + 2])
      expect((await complete(body.backup_id, { disk_id, change_id: 'x' })).status).toBe(400)
    expect(
      (await alone.call('POST', `/backups/${body.backup_id}/complete`, '{"disk_id":1e999,"change_id":"x"}')).status,
    ).toBe(400)
    expect(
      await fields({
        disks: [
          { disk_index: 0, change_id: 'a' },
          { disk_index: 0, change_id: 'b' },
        ],
      }),
    ).toEqual(['disks[1].disk_index FORBIDDEN'])
    expect(
      (
        await complete(body.backup_id, {
          disks: [
            { disk_index: 0, change_id: 'a' },
            { disk_index: 9, change_id: 'b' },
          ],
        })
      ).body.code,
    ).toBe('DISK_NOT_FOUND')
    expect((await show(body.backup_id)).disks[0].status).not.toBe('completed')
    await alone.call('POST', `/backups/${body.backup_id}/cancel`)
  })
  it('lets nothing build on a disk without a change id', async () => {
    const { body } = await start()
    expect(
      (
        await complete(body.backup_id, {
          disks: [
            { disk_index: 0, change_id: null },
            { disk_index: 1, change_id: 'b' },
          ],
        })
      ).body.job_status,
    ).toBe('completed')
    expect((await start({ backup_type: 'incremental' })).body).toMatchObject({
      code: 'FULL_BACKUP_REQUIRED',
      details: expect.stringContaining('change id'),
    })
  })
  it('fails the job when a disk can not be sealed', async () => {
    const { body } = await start()
    const { state } = [...alone.agent.exports.values()][0]!
    Object.assign(state, { status: 'failed', error_message: 'EIO on flush' })
    expect((await complete(body.backup_id, { disk_id: 0, change_id: 'x' })).body).toMatchObject({
      code: 'JOB_ENDED',
      job_status: 'failed',
    })
    expect(await show(body.backup_id)).toMatchObject({ status: 'failed', error_message: 'EIO on flush' })
    expect(alone.agent.exports.size).toBe(0)
    expect((await start({ backup_type: 'incremental' })).body.code).toBe('FULL_BACKUP_REQUIRED')
  })
  it('takes the job token for its own job alone, until ten minutes after the end', async () => {
    const { body } = await start()
    const token = alone.node.started.at(-1)!.callback_token
    expect((await report(body.backup_id, { status: 'running' }, token)).status).toBe(200)
    expect((await report('backup-other-1', { status: 'running' }, token)).status).toBe(404)
    expect((await complete('backup-other-1', { change_id: 'x' }, token)).body.code).toBe('TOKEN_SCOPE')
    expect((await alone.call('GET', `/backups/changeid?vm_name=other&disk_id=0`, undefined, { token })).status).toBe(
      404,
    )
    await complete(
      body.backup_id,
      {
        disks: [
          { disk_index: 0, change_id: 'a' },
          { disk_index: 1, change_id: 'b' },
        ],
      },
      token,
    )
    alone.clock.advance(599)
    expect((await complete(body.backup_id, { disk_id: 0, change_id: 'a' }, token)).status).toBe(200)
    alone.clock.advance(2)
    expect((await complete(body.backup_id, { disk_id: 0, change_id: 'a' }, token)).body.code).toBe('TOKEN_EXPIRED')
  })
})

describe('chains', () => {
  it('build on the newest completed backup and are shown from the full on', async () => {
    const full = await completedBackup(alone, vm)
    const first = await completedBackup(alone, vm, 'incremental')
    const token = alone.node.started.at(-1)!.callback_token
    expect(alone.node.started.at(-1)!.disks).toMatchObject([
      { previous_change_id: `change ${full.backup_id} 0` },
      { previous_change_id: `change ${full.backup_id} 1` },
    ])
    expect(
      (await alone.call('GET', `/backups/changeid?vm_name=${vm.vmName}&disk_id=1`, undefined, { token })).body
        .change_id,
    ).toBe(`change ${full.backup_id} 1`)
    const second = await completedBackup(alone, vm, 'incremental')
    const { body } = await alone.call('GET', `/backups/chain?vm_name=${vm.vmName}`)
    expect(
      body.chain.map((one: any) => [one.backup_id, one.sequence_number, one.parent_backup_id, one.is_restorable]),
    ).toEqual([
      [full.backup_id, 1, null, true],
      [first.backup_id, 2, full.backup_id, true],
      [second.backup_id, 3, first.backup_id, true],
    ])
    expect(body).toMatchObject({
      success: true,
      chain_length: 3,
      total_backups: 3,
      backup_count: 3,
      full_backup_id: full.backup_id,
      chain_id: `${vm.contextId}-disk0-chain`,
      total_size_bytes: 6 * 196608,
    })
    const legacy = await alone.call('GET', `/backups/${vm.vmName}/chain`)
    expect(legacy.body).toEqual(body)
    expect(legacy.headers.get('deprecation')).toBe('@1759881600')
    expect(legacy.headers.get('link')).toBe(`</api/v1/backups/chain?vm_name=${vm.vmName}>; rel="successor-version"`)
    expect(
      (await alone.call('GET', `/backups/stats?vm_name=${vm.vmName}&repository_id=${vm.repositoryId}`)).body
        .backup_count,
    ).toBe(3)
    expect((await show(full.backup_id)).dependents_count).toBe(2)
    for (const [query, code] of [
      ['vm_name=none', 'VM_NOT_FOUND'],
      ['', 'VALIDATION_FAILED'],
      [`vm_name=${vm.vmName}&disk_id=5`, 'DISK_NOT_FOUND'],
      [`vm_name=${vm.vmName}&repository_id=x`, 'REPOSITORY_NOT_FOUND'],
    ])
      expect((await alone.call('GET', `/backups/chain?${query}`)).body.code).toBe(code)
  })
  it('are not built on when a file is gone or a disk has changed', async () => {
    await completedBackup(alone, vm)
    const [key] = [...alone.agent.files].at(-1)!
    const file = alone.agent.files.get(key)!
    alone.agent.files.delete(key)
    expect((await start({ backup_type: 'incremental' })).body).toMatchObject({
      code: 'FULL_BACKUP_REQUIRED',
      details: expect.stringContaining('is missing'),
    })
    expect((await alone.call('GET', `/backups/chain?vm_name=${vm.vmName}`)).body.chain[0].is_restorable).toBe(false)
    alone.agent.files.set(key, file)
    await readyVm(alone, { name: vm.vmName, disks: [2 * gibibyte, gibibyte / 2] })
    expect((await start({ backup_type: 'incremental' })).body.details).toContain('another size')
  })
  it('are empty for a VM without backups', async () => {
    expect((await alone.call('GET', `/backups/chain?vm_name=${vm.vmName}`)).body).toMatchObject({
      chain: [],
      backups: [],
      chain_length: 0,
      full_backup_id: null,
    })
    expect((await alone.call('GET', `/backups?vm_name=${vm.vmName}`)).body).toMatchObject({
      backups: [],
      vm_context: { vm_name: vm.vmName },
    })
    expect((await alone.call('GET', '/backups?vm_name=nobody')).body.code).toBe('VM_NOT_FOUND')
  })
})

describe('list', () => {
  it('filters by everything at once, newest first, also at the legacy paths', async () => {
    const full = await completedBackup(alone, vm)
    const next = await completedBackup(alone, vm, 'incremental')
    const { body } = await alone.call('GET', `/backups?vm_context_id=${vm.contextId}&status=completed`)
    expect(body.backups.map((one: any) => one.backup_id)).toEqual([next.backup_id, full.backup_id])
    expect(
      (await alone.call('GET', `/backups?vm_context_id=${body.backups[0].vm_backup_context_id}&type=incremental`)).body
        .total,
    ).toBe(1)
    expect(
      (await alone.call('GET', `/backups?repository_id=${vm.repositoryId}&limit=1&offset=1`)).body.backups[0].backup_id,
    ).toBe(full.backup_id)
    expect((await alone.call('GET', '/backups?status=running')).status).toBe(400)
    const legacy = await alone.call('GET', `/backup/${full.backup_id}`)
    expect(legacy.body).toEqual(await show(full.backup_id))
    expect(legacy.headers.get('link')).toBe(`</api/v1/backups/${full.backup_id}>; rel="successor-version"`)
    expect((await alone.call('GET', `/backup/list?vm_name=${vm.vmName}`)).body.total).toBe(2)
    expect((await alone.call('GET', `/vm-contexts/${vm.contextId}/recent-jobs`)).body.jobs).toMatchObject([
      { job_type: 'backup', status: 'completed', data_source: 'backup_jobs' },
      {},
    ])
  })
})

describe('cancel and delete', () => {
  it('cancels an active backup and keeps its row', async () => {
    const before = await held()
    const { body } = await start()
    expect((await alone.call('DELETE', `/backups/${body.backup_id}`)).body.code).toBe('BACKUP_RUNNING')
    expect(
      (await alone.call('POST', `/backups/${body.backup_id}/cancel`, { reason: 'changed my mind' })).body,
    ).toMatchObject({ status: 'cancelled' })
    expect((await alone.call('POST', `/backups/${body.backup_id}/cancel`)).status).toBe(200)
    expect(await show(body.backup_id)).toMatchObject({
      status: 'cancelled',
      error_message: 'changed my mind',
      disks: [{ status: 'cancelled' }, { status: 'cancelled' }],
    })
    expect(alone.node.stopped).toContain(body.backup_id)
    expect(await held()).toEqual({ ...before, jobs: before.jobs + 1 })
    expect((await complete(body.backup_id, { disk_id: 0, change_id: 'late' })).body).toMatchObject({
      code: 'JOB_ENDED',
      job_status: 'cancelled',
    })
    const done = await completedBackup(alone, vm)
    expect((await alone.call('POST', `/backups/${done.backup_id}/cancel`)).body.code).toBe('JOB_ENDED')
    expect((await alone.call('POST', '/backups/none/cancel')).body.code).toBe('BACKUP_NOT_FOUND')
  })
  it('deletes newest first, dependents only when asked', async () => {
    const files = alone.agent.files.size
    const full = await completedBackup(alone, vm)
    const one = await completedBackup(alone, vm, 'incremental')
    const two = await completedBackup(alone, vm, 'incremental')
    expect((await alone.call('DELETE', `/backups/${full.backup_id}`)).body).toMatchObject({
      code: 'HAS_DEPENDENTS',
      dependents: [{ backup_id: two.backup_id }, { backup_id: one.backup_id }],
    })
    expect((await alone.call('DELETE', `/backups/${full.backup_id}?cascade=maybe`)).status).toBe(400)
    const { status, body } = await alone.call('DELETE', `/backups/${full.backup_id}?cascade=true`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      backup_id: full.backup_id,
      deleted_backup_ids: [two.backup_id, one.backup_id, full.backup_id],
      freed_bytes: 6 * 196608,
    })
    expect(alone.agent.files.size).toBe(files)
    expect((await alone.call('DELETE', `/backups/${full.backup_id}`)).body.code).toBe('BACKUP_NOT_FOUND')
  })
  it('protects what an immutable repository holds', async () => {
    const { body } = await alone.call('POST', '/repositories', {
      name: `frozen ${count}`,
      type: 'local',
      config: { path: `/frozen${count}` },
      is_immutable: true,
      min_retention_days: 1,
    })
    const frozen = { ...vm, repositoryId: body.repository_id as string }
    const { backup_id } = await completedBackup(alone, frozen)
    expect((await alone.call('DELETE', `/backups/${backup_id}`)).body).toMatchObject({
      code: 'IMMUTABLE_RETENTION_ACTIVE',
      retention_expires_at: expect.any(String),
    })
    const { at } = alone.clock
    alone.clock.advance(23 * 3600)
    expect(
      (
        await alone.call('DELETE', `/backups/${backup_id}`, undefined, {
          token: await alone.freshToken(),
        })
      ).status,
    ).toBe(409)
    alone.clock.at = at
  })
  it('keeps the row when a file can not be removed, and finishes later', async () => {
    const { backup_id } = await completedBackup(alone, vm)
    const real = alone.agent.deleteDiskFile
    alone.agent.deleteDiskFile = async () => {
      throw new HubError('INTERNAL', 'EIO')
    }
    expect((await alone.call('DELETE', `/backups/${backup_id}`)).status).toBe(500)
    alone.agent.deleteDiskFile = real
    expect((await show(backup_id)).backup_id).toBe(backup_id)
    expect((await alone.call('DELETE', `/backups/${backup_id}`)).status).toBe(200)
  })
  it('takes what is half deleted for no restore point, and finishes without being asked', async () => {
    const full = await completedBackup(alone, vm)
    const incremental = await completedBackup(alone, vm, 'incremental')
    const real = alone.agent.deleteDiskFile
    let calls = 0
    // The hub dies, or its agent does, with the first file gone.
    alone.agent.deleteDiskFile = async (file) => {
      if (++calls > 1) throw new HubError('SERVICE_UNAVAILABLE', 'gone')
      return real.call(alone.agent, file)
    }
    expect((await alone.call('DELETE', `/backups/${full.backup_id}?cascade=true`)).status).toBe(500)
    alone.agent.deleteDiskFile = real
    for (const { backup_id } of [full, incremental]) {
      expect(await show(backup_id)).toMatchObject({ status: 'failed', error_message: 'is being deleted' })
      for (const [path, body] of [
        ['/restore/mount', { backup_id, disk_index: 0 }],
        [`/backups/${backup_id}/verify`, {}],
      ] as const)
        expect((await alone.call('POST', path, body)).body.code).toBe('BACKUP_NOT_COMPLETED')
    }
    expect((await start({ backup_type: 'incremental' })).body.code).toBe('FULL_BACKUP_REQUIRED')
    expect((await alone.call('GET', `/backups/changeid?vm_name=${vm.vmName}&disk_id=0`)).body.code).toBe('NO_CHANGE_ID')
    await reconcileJobs(alone.bindings)
    for (const { backup_id } of [full, incremental])
      expect((await alone.call('GET', `/backups/${backup_id}`)).body.code).toBe('BACKUP_NOT_FOUND')
  })
  it('applies retention to whole chains that a newer full follows', async () => {
    await alone.db.pool.query('INSERT IGNORE INTO backup_policies (id, name, retention_days) VALUES (?, ?, 10)', [
      'keep10',
      'keep 10',
    ])
    const run = async (type: string) => {
      const { body } = await start({ backup_type: type, policy_id: 'keep10' })
      alone.clock.advance(1)
      await complete(body.backup_id, {
        disks: [
          { disk_index: 0, change_id: body.backup_id },
          { disk_index: 1, change_id: body.backup_id },
        ],
      })
      return body
    }
    const begin = alone.clock.at
    const [old, incremental] = [await run('full'), await run('incremental')]
    const shift = (id: string, days: number) =>
      alone.db.pool.query('UPDATE backup_jobs SET completed_at = ? WHERE id = ?', [
        new Date(begin.getTime() - days * 86_400_000),
        id,
      ])
    await shift(old.backup_id, 30)
    await shift(incremental.backup_id, 29)
    const context = (await show(old.backup_id)).vm_backup_context_id
    expect(await applyRetention(alone.bindings, context)).toEqual([])
    await shift(incremental.backup_id, 5)
    const newer = await run('full')
    expect((await show(old.backup_id)).backup_id).toBe(old.backup_id)
    await shift(incremental.backup_id, 29)
    expect(await applyRetention(alone.bindings, context)).toEqual([incremental.backup_id, old.backup_id])
    expect((await alone.call('GET', '/admin/audit?action=retention')).body.entries).toMatchObject([
      { actor_kind: 'system', details: { deleted: [incremental.backup_id, old.backup_id] } },
    ])
    expect((await show(newer.backup_id)).status).toBe('completed')
  })
})

describe('telemetry', () => {
  it('takes many reports at once, and the furthest stays', async () => {
    const { body } = await start()
    const [of, step] = [60, 2 ** 24]
    const replies = await Promise.all(
      Array.from({ length: of }, (_, number) => {
        // Neither in order nor backwards.
        const bytes = (((number * 37) % of) + 1) * step
        const disks = number % 3 === 0 ? [{ disk_index: 0, bytes_transferred: bytes }] : undefined
        return report(body.backup_id, { status: 'running', bytes_transferred: bytes, disks })
      }),
    )
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
    expect(await show(body.backup_id)).toMatchObject({ bytes_transferred: of * step, status: 'in_progress' })
    await alone.call('POST', `/backups/${body.backup_id}/cancel`)
  })
  it('never brings back a job that ends at the same moment', async () => {
    const { body } = await start()
    const reports = Array.from({ length: 20 }, (_, number) =>
      report(body.backup_id, { status: 'running', bytes_transferred: number, current_phase: 'transferring' }),
    )
    const [cancelled, ...told] = await Promise.all([
      alone.call('POST', `/backups/${body.backup_id}/cancel`),
      ...reports,
    ])
    expect(cancelled!.status).toBe(200)
    expect(told.every(({ status, body: { code } }) => status === 200 || code === 'JOB_ENDED')).toBe(true)
    expect((await show(body.backup_id)).status).toBe('cancelled')
  })
  it('moves progress forward only, whatever order reports arrive in', async () => {
    const { body } = await start()
    const at = (seconds: number) => new Date(alone.clock.now().getTime() + seconds * 1000).toISOString()
    const tell = async (more: object) => (await report(body.backup_id, { status: 'running', ...more })).body
    expect(
      await tell({
        timestamp: at(-10),
        current_phase: 'transferring',
        bytes_transferred: 0.75 * gibibyte,
        transfer_speed_bps: 5,
        disks: [{ disk_index: 0, bytes_transferred: gibibyte / 2, total_bytes: gibibyte }],
      }),
    ).toMatchObject({ applied: true, job_status: 'in_progress' })
    expect(await show(body.backup_id)).toMatchObject({
      progress_percent: 50,
      bytes_transferred: 0.75 * gibibyte,
      current_phase: 'transferring',
      disks: [{ progress_percent: 50, status: 'in_progress' }, {}],
    })
    expect((await tell({ timestamp: at(-20), bytes_transferred: gibibyte })).applied).toBe(false)
    expect((await tell({ timestamp: at(-9), bytes_transferred: 1, progress_percent: 0, disks: [] })).applied).toBe(true)
    expect(await show(body.backup_id)).toMatchObject({
      bytes_transferred: 0.75 * gibibyte,
      progress_percent: 50,
      transfer_speed_bps: 5,
    })
    expect((await tell({ status: 'completed', disks: [{ disk_index: 0, status: 'completed' }] })).job_status).toBe(
      'in_progress',
    )
    expect((await show(body.backup_id)).disks[0]).toMatchObject({ status: 'in_progress', progress_percent: 100 })
    expect((await tell({ disks: [{ disk_index: 9 }] })).fields).toMatchObject([{ field: 'disks[0].disk_index' }])
    expect((await report(body.backup_id, { status: 'running', job_id: 'other' })).status).toBe(400)
    expect((await alone.call('POST', `/telemetry/restore/${body.backup_id}`, { status: 'running' })).body.code).toBe(
      'JOB_NOT_FOUND',
    )
    const file = (await show(body.backup_id)).disks[1].qcow2_path.split('/').at(-1).replace('.qcow2', '')
    await report(file, { status: 'running', bytes_transferred: 1000, total_bytes: 2000 })
    expect((await show(body.backup_id)).disks[1]).toMatchObject({ bytes_transferred: 1000, progress_percent: 50 })
    expect((await tell({ error: { message: 'the disk went away' } })).job_status).toBe('failed')
    expect(await show(body.backup_id)).toMatchObject({ status: 'failed', error_message: 'the disk went away' })
    expect((await report(body.backup_id, { status: 'running' })).body).toMatchObject({
      code: 'JOB_ENDED',
      job_status: 'failed',
    })
    expect(alone.agent.exports.size).toBe(0)
  })
  it('notices silence, and that it ends', async () => {
    const { body } = await start()
    const status = async () => {
      await detectStale(alone.bindings)
      return (await show(body.backup_id)).status
    }
    alone.clock.advance(59)
    expect(await status()).toBe('started')
    alone.clock.advance(2)
    expect(await status()).toBe('stalled')
    await report(body.backup_id, { status: 'running' })
    expect(await status()).toBe('in_progress')
    alone.clock.advance(299)
    expect(await status()).toBe('stalled')
    alone.clock.advance(2)
    expect(await status()).toBe('failed')
    expect((await show(body.backup_id)).error_message).toMatch(/^no telemetry for 301 seconds$/)
  })
})

describe('reconcile', () => {
  it('fails a job whose exports are gone, and frees what it held', async () => {
    const { body } = await start()
    alone.agent.exports.clear()
    await reconcileJobs(alone.bindings)
    expect(await show(body.backup_id)).toMatchObject({
      status: 'failed',
      error_message: expect.stringContaining('interrupted'),
    })
    expect((await alone.call('GET', '/nbd/ports/status')).body.allocated).toBe(0)
  })
  it('fails a start that its hub did not survive', async () => {
    const { body } = await start()
    await alone.db.pool.query('UPDATE backup_jobs SET started_at = NULL WHERE id = ?', [body.backup_id])
    await reconcileJobs(alone.bindings)
    expect((await show(body.backup_id)).error_message).toContain('while it started')
    expect(alone.agent.exports.size).toBe(0)
  })
  it('commits what was sealed while no hub was there', async () => {
    const { body } = await start()
    for (const { state } of alone.agent.exports.values())
      await alone.agent.sealExport(state.export_name, {
        wait_seconds: 0,
        change_id: `c ${state.export_name}`,
        bytes_transferred: null,
        manifest: {} as never,
      })
    await reconcileJobs(alone.bindings)
    expect(await show(body.backup_id)).toMatchObject({
      status: 'completed',
      disks: [{ change_id: `c ${vm.vmName}-disk-2000` }, {}],
    })
    expect(alone.agent.exports.size).toBe(0)
  })
  it('finishes a clean-up that the agent was not there for', async () => {
    const { body } = await start()
    alone.agent.down = true
    await report(body.backup_id, { status: 'failed', error: 'x' })
    expect((await show(body.backup_id)).status).toBe('failed')
    alone.agent.down = false
    expect(alone.agent.exports.size).toBe(2)
    await reconcileJobs(alone.bindings)
    expect(alone.agent.exports.size).toBe(0)
    await reconcileJobs(alone.bindings)
  })
  it('lets go of a sealed file that no row knows, and never deletes it', async () => {
    const { body } = await start()
    const [name] = [...alone.agent.exports.keys()] as [string]
    await alone.agent.sealExport(name, {
      wait_seconds: 0,
      change_id: 'c',
      bytes_transferred: null,
      manifest: {} as never,
    })
    const files = alone.agent.files.size
    await alone.db.pool.query('DELETE FROM backup_jobs WHERE id = ?', [body.backup_id])
    await reconcileJobs(alone.bindings)
    expect(alone.agent.exports.size).toBe(0)
    expect(alone.agent.files.size).toBe(files - 1)
  })
})
