/** Flows run by the clock with everything real, hubs die meanwhile, and what is copied outlives the repository it came from. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { registerVm } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests()
const must = async (method: string, path: string, body?: unknown) => {
  const reply = await hub.api(method, path, body)
  expect(reply.status, JSON.stringify(reply.body)).toBeLessThan(300)
  return reply.body
}
const content = (name: string) => name.repeat(100_000)
const restored = async (backup_id: string, more: object = {}) => {
  const mount = await must('POST', '/restore/mount', { backup_id, disk_index: 0, ...more })
  const response = await hub.fetch(`/restore/${mount.mount_id}/download?path=/file`)
  const digest = createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex')
  await must('DELETE', `/restore/${mount.mount_id}`)
  return { digest, from: mount.copy_repository_id }
}
const digestOf = (name: string) => createHash('sha256').update(content(name)).digest('hex')

let vms: { vmName: string; contextId: string; repositoryId: string }[] = []
let [second, flow, schedule] = ['', '', '']
const executions = async (): Promise<any[]> =>
  (await must('GET', `/protection-flows/${flow}/executions?limit=100`)).executions
const backupsOf = async (vmName: string): Promise<any[]> => (await must('GET', `/backups?vm_name=${vmName}`)).backups

it('runs a group by the clock: full, then incremental, copied at once', async () => {
  for (const name of ['a', 'b']) {
    const folder = join(hub.folder, 'vms', name)
    mkdirSync(folder)
    filesystemImage(join(folder, 'disk0.raw'), 'ext4', 48 << 20, (root) =>
      writeFileSync(join(root, 'file'), content(name)),
    )
    const { vmName, repositoryId } = await registerVm(hub, name)
    const { context } = await must('GET', `/vm-contexts/${name}`)
    vms = [...vms, { vmName, repositoryId, contextId: context.context_id }]
  }
  const path = join(hub.folder, 'second')
  mkdirSync(path)
  second = (await must('POST', '/repositories', { name: 'second', type: 'local', config: { path } })).id
  const policy = await must('POST', '/policies', {
    name: '3-2-1',
    primary_repository_id: vms[0]!.repositoryId,
    retention_days: 0,
    copy_rules: [{ destination_repository_id: second }],
  })
  const group = await must('POST', '/machine-groups', { name: 'all', max_concurrent_vms: 2 })
  for (const { contextId } of vms) await must('POST', `/machine-groups/${group.id}/vms`, { vm_context_id: contextId })
  schedule = (
    await must('POST', '/schedules', {
      name: 'often',
      cron_expression: '*/5 * * * * *',
      timezone: 'UTC',
      max_concurrent_jobs: 2,
      retry_attempts: 2,
      retry_delay_minutes: 0,
    })
  ).id
  flow = (
    await must('POST', '/protection-flows', {
      name: 'protect all',
      flow_type: 'backup',
      target_type: 'group',
      target_id: group.id,
      repository_id: vms[0]!.repositoryId,
      policy_id: policy.id,
      schedule_id: schedule,
    })
  ).id
  await waitFor(
    'two runs',
    async () => (await executions()).filter(({ status }) => status === 'success').length >= 2,
    120_000,
  )
  const [, full] = (await backupsOf('a')).toReversed().map(({ backup_type }) => backup_type)
  expect(full).toBe('incremental')
})

it('neither loses nor doubles a run when hubs die in the middle of it', async () => {
  for (let time = 0; time < 3; time++) {
    const before = (await executions()).length
    await waitFor(
      'a run',
      async () => {
        const now = await executions()
        return now.length > before
      },
      60_000,
    )
    await hub.kill('hub')
    await hub.waitHealthy()
  }
  await must('POST', `/schedules/${schedule}/enable`, { enabled: false })
  await waitFor('the end of the last run', async () => (await executions())[0].status !== 'running', 120_000)
  for (const { status, error_message } of await executions()) expect(`${status} ${error_message}`).toBe('success null')
  const runs = (await must('GET', `/schedules/${schedule}/executions?limit=100`)).executions as any[]
  const times = runs.map(({ scheduled_at }) => scheduled_at)
  expect(new Set(times).size).toBe(times.length)
  expect(runs.filter(({ status }) => status === 'failed')).toEqual([])
  for (const { vmName } of vms)
    for (const { status, error_message } of await backupsOf(vmName))
      expect([`completed null`, 'failed interrupted: the hub was stopped while it started this backup']).toContain(
        `${status} ${error_message}`,
      )
})

it('mounts and restores every point from its copy when the repository is destroyed, and heals it', async () => {
  const points = (await backupsOf('a')).filter(({ status }) => status === 'completed')
  const copiesOf = async (id: string): Promise<any[]> => must('GET', `/backups/${id}/copies`)
  await waitFor(
    'the copies',
    async () => {
      for (const { backup_id } of points) if ((await copiesOf(backup_id))[0]?.status !== 'completed') return false
      return true
    },
    120_000,
  )
  expect(await copiesOf(points[0].backup_id)).toMatchObject([{ verification_status: 'passed', error_message: null }])
  expect((await hub.doctor()).findings).toEqual([])

  const folder = join(hub.repositoryPath, points[0].vm_backup_context_id)
  const files = readdirSync(join(folder, 'disk-0'))
  const before = new Map(files.map((name) => [name, readFileSync(join(folder, 'disk-0', name))]))
  rmSync(folder, { recursive: true })
  for (const { backup_id } of points) expect(await restored(backup_id)).toEqual({ digest: digestOf('a'), from: second })
  expect(
    (
      await hub.api('POST', '/restore/mount', {
        backup_id: points[0].backup_id,
        disk_index: 0,
        repository_id: vms[0]!.repositoryId,
      })
    ).body.code,
  ).toBe('CHAIN_BROKEN')

  await must('POST', `/backups/${points[0].backup_id}/heal`, {})
  await waitFor(
    'the healing',
    async () => {
      const { heal, verification, verify_state } = await must('GET', `/backups/${points[0].backup_id}`)
      return heal === null && verification === null && verify_state === 'verified'
    },
    120_000,
  )
  for (const [name, bytes] of before) expect(readFileSync(join(folder, 'disk-0', name)).equals(bytes), name).toBe(true)
  expect(await restored(points[0].backup_id)).toEqual({ digest: digestOf('a'), from: null })
  expect((await hub.doctor()).findings).toEqual([])
})

it('finds points and their copies again when the database is lost', async () => {
  await hub.restart(() => rmSync(join(hub.folder, 'data/database'), { recursive: true }))
  const { adopted, findings } = await hub.doctor('--adopt')
  expect(findings).toEqual([])
  expect(adopted.refused).toEqual([])
  expect(adopted.backups.length).toBe(adopted.copies.length)
  const [point] = await backupsOf('b')
  const [copy] = await must('GET', `/backups/${point.backup_id}/copies`)
  expect(await restored(point.backup_id, { repository_id: copy.repository_id })).toMatchObject({
    digest: digestOf('b'),
  })
})
