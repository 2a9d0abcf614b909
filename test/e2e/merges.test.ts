/** Retention by counts with everything real: chains stay short, what stays reads as it was backed up, in copies as well, and hub and agent may die. */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, waitForEnd } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage, sh } from '../support/images.ts'

const hub = hubForTests()
const must = async (method: string, path: string, body?: unknown) => {
  const reply = await hub.api(method, path, body)
  expect(reply.status, JSON.stringify(reply.body)).toBeLessThan(300)
  return reply.body
}
const image = () => join(hub.folder, 'vms/web/disk0.raw')
const digests = new Map<string, string>()
const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex')
let vm: { vmName: string; repositoryId: string }
let [second, policy] = ['', '']

/** Another day: another content of the file, and its backup. */
const nextPoint = async (): Promise<string> => {
  const text = `content ${digests.size} `.repeat(60_000)
  writeFileSync(join(hub.folder, 'new'), text)
  sh('/usr/sbin/debugfs', ['-w', '-R', 'rm file', image()])
  sh('/usr/sbin/debugfs', ['-w', '-R', `write ${join(hub.folder, 'new')} file`, image()])
  const { backup_id } = await must('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: digests.size === 0 ? 'full' : 'incremental',
    policy_id: policy,
  })
  expect((await waitForEnd(hub, backup_id)).status).toBe('completed')
  digests.set(backup_id, sha256(text))
  return backup_id
}
const points = async (): Promise<any[]> => (await must('GET', '/backups?vm_name=web')).backups
const settled = (count: number) =>
  waitFor(
    `${count} points`,
    async () => {
      const now = await points().catch(() => [])
      return now.length === count && now.every(({ status, merging_into }) => status === 'completed' && !merging_into)
    },
    60_000,
  )
const expectRestorable = async (repository_id?: string) => {
  for (const { backup_id } of await points()) {
    const mount = await must('POST', '/restore/mount', { backup_id, disk_index: 0, repository_id })
    const response = await hub.fetch(`/restore/${mount.mount_id}/download?path=/file`)
    expect(sha256(Buffer.from(await response.arrayBuffer())), backup_id).toBe(digests.get(backup_id))
    await must('DELETE', `/restore/${mount.mount_id}`)
  }
}

it('leaves the points that the counts name, each as it was backed up, here and in its copies', async () => {
  mkdirSync(join(hub.folder, 'vms/web'))
  filesystemImage(image(), 'ext4', 48 << 20, (root) => writeFileSync(join(root, 'file'), 'first'))
  vm = await registerVm(hub, 'web')
  mkdirSync(join(hub.folder, 'second'))
  second = (
    await must('POST', '/repositories', { name: 'second', type: 'local', config: { path: join(hub.folder, 'second') } })
  ).id
  policy = (
    await must('POST', '/policies', {
      name: 'last three',
      primary_repository_id: vm.repositoryId,
      retention_days: 0,
      keep: { last: 3 },
      copy_rules: [{ destination_repository_id: second }],
    })
  ).id
  for (let day = 0; day < 6; day++) await nextPoint()
  await settled(3)
  expect((await points()).map(({ backup_type }) => backup_type)).toEqual(['incremental', 'incremental', 'full'])
  await waitFor(
    'all copies',
    async () => {
      for (const { backup_id } of await points()) {
        const copies = await must('GET', `/backups/${backup_id}/copies`)
        if (copies[0]?.status !== 'completed') return false
      }
      return true
    },
    60_000,
  )
  await expectRestorable()
  await expectRestorable(second)
  expect(await hub.doctor()).toMatchObject({ exitCode: 0, findings: [] })
}, 240_000)

it('goes on with a merge whatever dies meanwhile', async () => {
  for (const victim of ['host-agent', 'hub', 'database', 'host-agent', 'hub'] as const) {
    await nextPoint()
    await hub.kill(victim)
    await hub.waitHealthy()
    await settled(3)
  }
  await expectRestorable()
  await expectRestorable(second)
}, 240_000)

it('restores first: a mount is served in the middle of a merge, which waits for its end', async () => {
  const mount = await must('POST', '/restore/mount', { backup_id: (await points())[0].backup_id, disk_index: 0 })
  await nextPoint()
  let going: any
  await waitFor(
    'retention to look at it',
    async () => {
      going = (await points()).find(({ merging_into }) => merging_into !== null)
      return going !== undefined
    },
    20_000,
  )
  const { body } = await hub.api('POST', '/restore/mount', { backup_id: going.backup_id, disk_index: 0 })
  expect(body.code).toBe('BACKUP_NOT_COMPLETED')
  const into = await must('POST', '/restore/mount', { backup_id: going.merging_into, disk_index: 0 })
  const response = await hub.fetch(`/restore/${into.mount_id}/download?path=/file`)
  expect(sha256(Buffer.from(await response.arrayBuffer()))).toBe(digests.get(going.merging_into))
  for (const { mount_id } of [mount, into]) await must('DELETE', `/restore/${mount_id}`)
  await settled(3)
  await expectRestorable()
}, 120_000)

it('verifies merged points, finds damage in them, heals them from a copy, and brings them back without a database', async () => {
  const [newest] = await points()
  const verified = async () => {
    await must('POST', `/backups/${newest.backup_id}/verify`, {})
    await waitFor(
      'the check',
      async () => (await must('GET', `/backups/${newest.backup_id}`)).verification === null,
      60_000,
    )
    return (await must('GET', `/backups/${newest.backup_id}`)).verify_state
  }
  expect(await verified()).toBe('verified')
  await waitFor(
    'its copy',
    async () => (await must('GET', `/backups/${newest.backup_id}/copies`))[0]?.status === 'completed',
    60_000,
  )
  rmSync((await must('GET', `/backups/${(await points())[2].backup_id}`)).disks[0].qcow2_path)
  expect(await verified()).toBe('damaged')
  await must('POST', `/backups/${newest.backup_id}/heal`, {})
  await waitFor(
    'the healing',
    async () => (await must('GET', `/backups/${newest.backup_id}`)).verify_state === 'verified',
    60_000,
  )
  await expectRestorable(vm.repositoryId)
  const before = (await points()).map(({ backup_id }) => backup_id)
  await hub.restart(() => rmSync(join(hub.folder, 'data/database'), { recursive: true }))
  const { adopted, findings } = await hub.doctor('--adopt')
  expect({ refused: adopted.refused, findings }).toEqual({ refused: [], findings: [] })
  expect((await points()).map(({ backup_id }) => backup_id)).toEqual(before)
  await expectRestorable()
}, 240_000)
