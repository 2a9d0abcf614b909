/** Checks of restore points: the queue, what they find, and what a damaged backup is good for any more. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findBackup } from '../../db/queries/backups.ts'
import { runVerifications, scrub } from '../../workflows/verify-backups.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

const work = () => runVerifications(alone.bindings, 60_000)
const show = async (id: string) => (await alone.call('GET', `/backups/${id}`)).body
/** The agent's file of one disk of a backup. */
const fileOf = async (id: string, disk: number) => {
  const path: string = (await show(id)).disks[disk].qcow2_path
  const base = path.slice(path.lastIndexOf('/') + 1, -'.qcow2'.length)
  return [...alone.agent.files].find(([key]) => key.endsWith(`/${base}`))![1]
}

let vm: Awaited<ReturnType<typeof readyVm>>
let number = 0
let [full, second, third]: { backup_id: string }[] = []
beforeEach(async () => {
  vm = await readyVm(alone, { name: `verified-${++number}` })
  full = await completedBackup(alone, vm)
  alone.clock.advance(60)
  second = await completedBackup(alone, vm, 'incremental')
  alone.clock.advance(60)
  third = await completedBackup(alone, vm, 'incremental')
  alone.clock.advance(60)
})
const chain = () => [full!, second!, third!].map(({ backup_id }) => backup_id)

describe('a check that finds nothing wrong', () => {
  it('is queued once, shown, and marks all that it has read', async () => {
    const [, , id] = chain()
    const { status, body } = await alone.call('POST', `/backups/${id}/verify`, {})
    expect(status).toBe(200)
    expect(body).toMatchObject({
      backup_id: id,
      verify_state: 'unverified',
      verification: { status: 'queued', current_phase: 'verifying', progress_percent: 0 },
    })
    alone.clock.advance(5)
    const again = await alone.call('POST', `/backups/${id}/verify`, { bytes_per_second: 1000 })
    expect(again.body.verification.created_at).toBe(body.verification.created_at)
    await work()
    for (const member of chain())
      expect(await show(member)).toMatchObject({
        verify_state: 'verified',
        verified_at: alone.clock.now().toISOString(),
        verification: null,
        damages: [],
      })
    const shown = await alone.call('GET', `/backups/chain?vm_context_id=${vm.contextId}`)
    expect(shown.body.chain.map((entry: any) => [entry.verify_state, entry.is_restorable])).toEqual(
      Array(3).fill(['verified', true]),
    )
  })
  it('can be stopped before it has run', async () => {
    const [id] = chain()
    await alone.call('POST', `/backups/${id}/verify`, {})
    const { status, body } = await alone.call('DELETE', `/backups/${id}/verify`)
    expect([status, body.verification]).toEqual([200, null])
    await work()
    expect(await show(id!)).toMatchObject({ verify_state: 'unverified', verification: null })
  })
  it('goes away with its backup', async () => {
    const [id] = chain()
    await alone.call('POST', `/backups/${id}/verify`, {})
    expect((await alone.call('DELETE', `/backups/${id}?cascade=true`)).status).toBe(200)
    await work()
    expect((await alone.call('DELETE', `/backups/${id}/verify`)).body.code).toBe('BACKUP_NOT_FOUND')
  })
})

describe('a check that finds damage', () => {
  beforeEach(async () => {
    const [id, middle, newest] = chain()
    ;(await fileOf(middle!, 1)).damaged = true
    await alone.call('POST', `/backups/${newest}/verify`, {})
    await work()
    expect((await show(id!)).verify_state).toBe('verified')
  })
  it('names backup, disk, file and place, and marks all that builds on it', async () => {
    const [id, middle, newest] = chain()
    expect((await show(id!)).damages).toEqual([])
    for (const member of [middle!, newest!]) {
      const { verify_state, damages } = await show(member)
      expect(verify_state).toBe('damaged')
      expect(damages).toEqual([
        {
          backup_id: middle,
          disk_index: 1,
          file: expect.stringMatching(/\.qcow2$/),
          kind: 'data',
          offset_bytes: 0,
          length_bytes: 4_194_304,
          detail: 'the data does not match its checksum',
        },
      ])
    }
    const shown = await alone.call('GET', `/backups/chain?vm_context_id=${vm.contextId}`)
    expect(shown.body.chain.map((entry: any) => entry.is_restorable)).toEqual([true, false, false])
  })
  it('keeps what is damaged from being restored and built on, and nothing else', async () => {
    const [id, middle, newest] = chain()
    for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
    for (const member of [middle, newest])
      expect((await alone.call('POST', '/restore/mount', { backup_id: member, disk_index: 0 })).body).toMatchObject({
        code: 'CHAIN_BROKEN',
      })
    const { status, body } = await alone.call('POST', '/restore/mount', { backup_id: id, disk_index: 0 })
    expect(status).toBe(200)
    await alone.call('DELETE', `/restore/${body.mount_id}`)
    const start = { vm_context_id: vm.contextId, repository_id: vm.repositoryId }
    expect((await alone.call('POST', '/backups', { ...start, backup_type: 'incremental' })).body).toMatchObject({
      code: 'FULL_BACKUP_REQUIRED',
    })
    expect((await alone.call('POST', '/backups', { ...start, backup_type: 'full' })).status).toBe(200)
  })
  it('is taken back by a later one that finds the files whole', async () => {
    const [, middle, newest] = chain()
    ;(await fileOf(middle!, 1)).damaged = false
    alone.clock.advance(60)
    await alone.call('POST', `/backups/${newest}/verify`, {})
    await work()
    for (const member of [middle!, newest!])
      expect(await show(member)).toMatchObject({ verify_state: 'verified', damages: [] })
  })
})

it('refuses what can not be checked', async () => {
  expect((await alone.call('POST', '/backups/none/verify', {})).body.code).toBe('BACKUP_NOT_FOUND')
  const start = { vm_context_id: vm.contextId, repository_id: vm.repositoryId, backup_type: 'full' }
  const { body } = await alone.call('POST', '/backups', start)
  expect((await alone.call('POST', `/backups/${body.backup_id}/verify`, {})).body.code).toBe('BACKUP_NOT_COMPLETED')
  await alone.call('POST', `/backups/${body.backup_id}/cancel`, {})
})

it('scrubs what was not checked for a month, one after the other, each file once', async () => {
  // All that the tests before have left.
  for (let rounds = 0; rounds < 50; rounds++) {
    await scrub(alone.bindings)
    await scrub(alone.bindings)
    await work()
  }
  const ids = chain()
  // Past the tokens' time: the rows themselves are looked at.
  const checkedAt = () =>
    Promise.all(ids.map(async (id) => (await findBackup(alone.db.orm, id))!.job.verifiedAt!.getTime()))
  const before = await checkedAt()
  alone.clock.advance(29 * 24 * 3600)
  await scrub(alone.bindings)
  await work()
  expect(await checkedAt()).toEqual(before)
  alone.clock.advance(2 * 24 * 3600)
  for (let rounds = 0; rounds < 50; rounds++) {
    await scrub(alone.bindings)
    await work()
  }
  expect(await checkedAt()).toEqual(ids.map(() => alone.clock.now().getTime()))
})
