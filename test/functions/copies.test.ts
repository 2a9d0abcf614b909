import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { queueMissingCopies, runCopies } from '../../workflows/copy-backups.ts'
import { runHeals } from '../../workflows/heal-backup.ts'
import { runVerifications } from '../../workflows/verify-backups.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
let second: string
let [full, incremental] = ['', '']
const repository = async (name: string, more: object = {}): Promise<string> =>
  (await alone.call('POST', '/repositories', { name, type: 'local', config: { path: `/copies/${name}` }, ...more }))
    .body.id
beforeAll(async () => {
  alone = await openAlone()
  second = await repository('second')
})
let number = 0
beforeEach(async () => {
  vm = await readyVm(alone, { name: `vm-${++number}` })
  full = (await completedBackup(alone, vm)).backup_id
  alone.clock.advance(1)
  incremental = (await completedBackup(alone, vm, 'incremental')).backup_id
})
afterAll(() => alone.close())

const copy = (backup: string, repository_id: string, more: object = {}) =>
  alone.call('POST', `/backups/${backup}/copy`, { repository_id, ...more })
const copies = async (backup: string) => (await alone.call('GET', `/backups/${backup}/copies`)).body
const round = () => runCopies(alone.bindings, 1000)
const filesIn = (repositoryId: string) =>
  [...alone.agent.files].filter(([key]) => key.startsWith(`${repositoryId}/`)).map(([, file]) => file)
const mount = (backup_id: string, more: object = {}) =>
  alone.call('POST', '/restore/mount', { backup_id, disk_index: 0, ...more })
/** The original files as a broken disk leaves them. */
const lose = (backup: string, how: 'gone' | 'damaged') => {
  for (const [key, file] of alone.agent.files)
    if (key.startsWith(vm.repositoryId) && key.includes(baseOf.get(backup)!)) {
      if (how === 'gone') alone.agent.files.delete(key)
      else file.damaged = true
    }
}
const baseOf = new Map<string, string>()
const noteBase = async (backup: string) => {
  const { disks } = (await alone.call('GET', `/backups/${backup}`)).body
  baseOf.set(backup, /-(\d{8}-\d{6})\.qcow2$/.exec(disks[0].qcow2_path)![1]!)
}

it('copies a chain: what a backup builds on goes with it, parents first', async () => {
  const { status, body } = await copy(incremental, second)
  expect(status).toBe(201)
  expect(body).toMatchObject({ status: 'pending' })
  expect(await copies(full)).toMatchObject([{ status: 'pending', copy_rule_id: null }])
  expect((await copy(full, second)).body).toMatchObject({ code: 'COPY_EXISTS', copy_id: (await copies(full))[0].id })
  await round()
  const reply = await alone.call('GET', `/backups/${incremental}/copies`)
  expect(reply.headers.get('X-Total-Count')).toBe('1')
  expect(reply.body).toMatchObject([
    {
      id: body.copy_id,
      source_backup_id: incremental,
      repository_id: second,
      repository_name: 'second',
      status: 'completed',
      verification_status: 'passed',
      progress_percent: 100,
      error_message: null,
      file_path: expect.stringMatching(/^\/copies\/second\/ctx-backup-/),
    },
  ])
  expect(await copies(full)).toMatchObject([{ status: 'completed' }])
  expect(filesIn(second)).toHaveLength(4)
  expect((await alone.call('GET', `/backups/${full}`)).body.copies_count).toBe(1)
  expect((await alone.call('GET', `/repositories/${second}`)).body.backup_count).toBe(2)
  expect((await alone.call('DELETE', `/repositories/${second}`)).body.code).toBe('REPOSITORY_HAS_BACKUPS')
  // Deleting the backup takes its copies with it.
  expect((await alone.call('DELETE', `/backups/${full}?cascade=true`)).status).toBe(200)
  expect(filesIn(second)).toEqual([])
  expect((await alone.call('GET', `/repositories/${second}`)).body.backup_count).toBe(0)
})
it('gives up the copies in a storage that is gone for good, and touches no file of them', async () => {
  const gone = await repository('gone')
  await copy(incremental, gone)
  const statusOf = (status: string) =>
    alone.db.pool.query('UPDATE backup_copies SET status = ? WHERE repository_id = ?', [status, gone])
  await round()
  const forget = () => alone.call('DELETE', `/repositories/${gone}?forget_copies=true`)
  await statusOf('copying')
  expect((await forget()).body.code).toBe('COPY_RUNNING')
  expect(await copies(full)).toHaveLength(1)
  await statusOf('completed')
  expect((await alone.call('DELETE', `/repositories/${gone}`)).body).toMatchObject({
    code: 'REPOSITORY_HAS_BACKUPS',
    backup_count: 2,
  })
  const { body: policy } = await alone.call('POST', '/policies', {
    name: 'uses it',
    primary_repository_id: gone,
    retention_days: 1,
  })
  expect((await forget()).body).toMatchObject({ code: 'REPOSITORY_IN_USE', policies: ['uses it'] })
  // All or nothing.
  expect(await copies(full)).toHaveLength(1)
  await alone.call('DELETE', `/policies/${policy.id}`)
  expect((await forget()).status).toBe(200)
  expect(await copies(full)).toEqual([])
  expect(filesIn(gone)).toHaveLength(4)
  // What lies there itself is no copy.
  expect((await alone.call('DELETE', `/repositories/${vm.repositoryId}?forget_copies=true`)).body.code).toBe(
    'REPOSITORY_HAS_BACKUPS',
  )
  expect((await alone.call('DELETE', `/backups/${full}?cascade=true`)).status).toBe(200)
})
it('refuses what can not be copied', async () => {
  const code = async (...args: Parameters<typeof copy>) => (await copy(...args)).body.code
  expect(await code('none', second)).toBe('BACKUP_NOT_FOUND')
  expect((await alone.call('GET', '/backups/none/copies')).body.code).toBe('BACKUP_NOT_FOUND')
  expect(await code(full, 'none')).toBe('UNKNOWN_REPOSITORY')
  expect(await code(full, await repository('off', { enabled: false }))).toBe('REPOSITORY_DISABLED')
  expect((await copy(full, vm.repositoryId)).body.fields).toMatchObject([{ field: 'repository_id' }])
  const other = await readyVm(alone, { name: 'running' })
  const running = await alone.call('POST', '/backups', {
    vm_name: 'running',
    repository_id: other.repositoryId,
    backup_type: 'full',
  })
  expect(await code(running.body.backup_id, second)).toBe('BACKUP_NOT_COMPLETED')
  await alone.db.pool.query('UPDATE backup_disks SET stored_bytes = 1e9 WHERE backup_job_id = ?', [full])
  alone.agent.storage.available_bytes = 1000
  expect((await copy(full, second)).body).toMatchObject({ code: 'INSUFFICIENT_STORAGE', available_bytes: 1000 })
  alone.agent.storage.available_bytes = 9e11
  await alone.db.pool.query("UPDATE backup_jobs SET verify_state = 'damaged' WHERE id = ?", [full])
  expect(await code(incremental, second)).toBe('CHAIN_BROKEN')
})
it('says why a copy failed, leaves nothing of it, and replaces it when asked again', async () => {
  await noteBase(full)
  lose(full, 'damaged')
  const first = (await copy(full, second, { verify_after_copy: false })).body.copy_id
  await round()
  expect(await copies(full)).toMatchObject([
    { status: 'failed', error_message: expect.stringContaining('CHAIN_BROKEN') },
  ])
  expect(filesIn(second)).toEqual([])
  for (const file of alone.agent.files.values()) file.damaged = false
  const again = (await copy(full, second, { verify_after_copy: false })).body.copy_id
  expect(again).not.toBe(first)
  await round()
  expect(await copies(full)).toMatchObject([{ id: again, status: 'completed', verification_status: 'pending' }])
  await alone.call('DELETE', `/backups/${full}?cascade=1`)
})
it('waits for a storage that does not answer, and goes on when it does', async () => {
  await copy(incremental, second)
  alone.agent.down = true
  await round()
  expect(await copies(full)).toMatchObject([
    { status: 'pending', error_message: expect.stringContaining('SERVICE_UNAVAILABLE') },
  ])
  alone.agent.down = false
  await round()
  expect(await copies(incremental)).toMatchObject([{ status: 'completed', error_message: null }])
  await alone.call('DELETE', `/backups/${full}?cascade=1`)
})
it('makes the copies that a policy asks for: at once, at night, or never by itself', async () => {
  const third = await repository(`third-${number}`)
  const fourth = await repository(`fourth-${number}`)
  const policy = (
    await alone.call('POST', '/policies', {
      name: '3-2-1',
      primary_repository_id: vm.repositoryId,
      copy_rules: [
        { destination_repository_id: second },
        { destination_repository_id: third, copy_mode: 'scheduled', verify_after_copy: false },
        { destination_repository_id: fourth, copy_mode: 'manual' },
      ],
    })
  ).body
  const started = await alone.call('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'incremental',
    policy_id: policy.id,
  })
  const id: string = started.body.backup_id
  alone.clock.advance(1)
  await alone.call('POST', `/backups/${id}/complete`, {
    disks: [0, 1].map((disk_index) => ({ disk_index, change_id: `c ${disk_index}` })),
  })
  const where = async () => (await copies(id)).map(({ repository_id }: { repository_id: string }) => repository_id)
  expect(await where()).toEqual([second])
  expect((await copies(id))[0].copy_rule_id).toBe(policy.copy_rules[0].id)
  alone.clock.advance(1)
  await queueMissingCopies(alone.bindings)
  expect(await where()).toEqual([third, second])
  await round()
  expect(await copies(id)).toMatchObject([
    { status: 'completed', verification_status: 'pending' },
    { status: 'completed', verification_status: 'passed' },
  ])
  expect(await copies(full)).toHaveLength(2)
  // The copies outlive their policy.
  await alone.call('DELETE', `/policies/${policy.id}`)
  expect(await copies(id)).toMatchObject([{ copy_rule_id: null }, { copy_rule_id: null }])
  await alone.call('DELETE', `/backups/${full}?cascade=1`)
})
it('deletes no backup that is being copied', async () => {
  await copy(full, second)
  await alone.db.pool.query("UPDATE backup_copies SET status = 'copying'")
  expect((await alone.call('DELETE', `/backups/${full}?cascade=1`)).body.code).toBe('COPY_RUNNING')
  await round()
  expect((await alone.call('DELETE', `/backups/${full}?cascade=1`)).status).toBe(200)
})
it('mounts a copy when it is asked to, and when the original is gone or damaged', async () => {
  await copy(incremental, second)
  await round()
  await noteBase(full)
  for (const [key] of alone.agent.files) alone.agent.mountable.add(key)
  const unmount = (id: string) => alone.call('DELETE', `/restore/${id}`)
  const own = (await mount(incremental)).body
  expect(own).toMatchObject({ status: 'mounted', copy_repository_id: null })
  await unmount(own.mount_id)
  const asked = (await mount(incremental, { repository_id: second })).body
  expect(asked).toMatchObject({ status: 'mounted', copy_repository_id: second })
  expect((await alone.call('GET', `/restore/${asked.mount_id}`)).body.copy_repository_id).toBe(second)
  await unmount(asked.mount_id)
  expect((await mount(incremental, { repository_id: 'none' })).body.code).toBe('COPY_NOT_FOUND')
  lose(full, 'gone')
  const fallback = (await mount(incremental)).body
  expect(fallback).toMatchObject({ status: 'mounted', copy_repository_id: second })
  await unmount(fallback.mount_id)
  expect((await mount(incremental, { repository_id: vm.repositoryId })).body.code).toBe('CHAIN_BROKEN')
  await alone.db.pool.query("UPDATE backup_jobs SET verify_state = 'damaged' WHERE id = ?", [full])
  const known = (await mount(incremental)).body
  expect(known).toMatchObject({ status: 'mounted', copy_repository_id: second })
  await unmount(known.mount_id)
})
it('heals a damaged original from a copy, and checks it then', async () => {
  const heal = (body: object = {}) => alone.call('POST', `/backups/${incremental}/heal`, body)
  expect((await heal()).body.code).toBe('COPY_NOT_FOUND')
  expect((await alone.call('POST', '/backups/none/heal', {})).body.code).toBe('BACKUP_NOT_FOUND')
  await copy(incremental, second)
  await round()
  await noteBase(full)
  expect((await heal()).body).toMatchObject({ heal: null, message: expect.stringContaining('no damage') })
  lose(full, 'gone')
  const begun = await heal()
  expect(begun.status).toBe(200)
  expect(begun.body).toMatchObject({ heal: { repository_id: second, progress_percent: 0 } })
  expect((await alone.call('GET', `/backups/${incremental}`)).body.heal).toMatchObject({ repository_id: second })
  expect((await alone.call('DELETE', `/backups/${full}?cascade=1`)).body.code).toBe('COPY_RUNNING')
  expect((await heal()).body.heal).toEqual(begun.body.heal)
  await runHeals(alone.bindings, 1000)
  await runVerifications(alone.bindings, 1000)
  expect((await alone.call('GET', `/backups/${incremental}`)).body).toMatchObject({
    heal: null,
    verify_state: 'verified',
  })
  // One that a check has found damaged, and that is there all the same.
  lose(incremental, 'damaged')
  const running = await readyVm(alone, { name: `running-${number}` })
  const started = await alone.call('POST', '/backups', {
    vm_name: running.vmName,
    repository_id: running.repositoryId,
    backup_type: 'full',
  })
  expect((await alone.call('POST', `/backups/${started.body.backup_id}/heal`, {})).body.code).toBe(
    'BACKUP_NOT_COMPLETED',
  )
})
