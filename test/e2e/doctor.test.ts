/** The doctor finds nothing wrong with a hub that works, names what is broken, and brings back a hub that lost its database. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage, sh } from '../support/images.ts'

const hub = hubForTests()

const restoredFile = async (backupId: string) => {
  const { body: mount } = await hub.api('POST', '/restore/mount', { backup_id: backupId, disk_index: 0 })
  const response = await hub.fetch(`/restore/${mount.mount_id}/download?path=/file`)
  const digest = createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex')
  await hub.api('DELETE', `/restore/${mount.mount_id}`)
  return digest
}

const names = ['one', 'two', 'three']
const pointsPerVm = 7
const points: string[] = []
const digests = new Map<string, string>()

it('finds nothing wrong with backups and mounts that are as they must be', async () => {
  for (const name of names) {
    const folder = join(hub.folder, 'vms', name)
    mkdirSync(folder)
    const image = join(folder, 'disk0.raw')
    filesystemImage(image, 'ext4', 48 << 20, (root) => writeFileSync(join(root, 'file'), name.repeat(200_000)))
    const vm = await registerVm(hub, name)
    points.push((await runBackup(hub, vm, 'full')).backup_id)
    for (let day = 1; day < pointsPerVm; day++) {
      writeFileSync(join(hub.folder, 'new'), `${name} on day ${day}`.repeat(50_000))
      sh('/usr/sbin/debugfs', ['-w', '-R', 'rm file', image])
      sh('/usr/sbin/debugfs', ['-w', '-R', `write ${join(hub.folder, 'new')} file`, image])
      points.push((await runBackup(hub, vm, 'incremental')).backup_id)
    }
  }
  for (const id of points) digests.set(id, await restoredFile(id))
  // Each of them is another.
  expect(new Set(digests.values()).size).toBe(names.length * pointsPerVm)
  const { body: mount } = await hub.api('POST', '/restore/mount', { backup_id: points[0], disk_index: 0 })
  expect(await hub.doctor()).toMatchObject({ exitCode: 0, adopted: null, findings: [] })
  await hub.api('DELETE', `/restore/${mount.mount_id}`)
}, 180_000)

it('names what is missing, what has no business there, and what is not what was sealed', async () => {
  const { body } = await hub.api('GET', `/backups/${points[1]}`)
  const path: string = body.disks[0].qcow2_path.replace(/\.qcow2$/, '')
  const stranger = join(path, '../notes.txt')
  const orphan = join(path, '../backup-ghost-disk0-20260101-000000.qcow2')
  renameSync(`${path}.blocks`, `${path}.away`)
  writeFileSync(stranger, '')
  writeFileSync(orphan, '')
  const { exitCode, findings } = await hub.doctor()
  expect(exitCode).toBe(1)
  expect(findings).toEqual(
    expect.arrayContaining([
      { invariant: 'I1', subject: `${points[1]} disk 0`, problem: expect.stringMatching(/\.blocks is missing$/) },
      { invariant: 'I11', subject: stranger, problem: 'has no business in the repository' },
      { invariant: 'I11', subject: `${path}.away`, problem: 'has no business in the repository' },
      { invariant: 'I5', subject: orphan.replace(/\.qcow2$/, ''), problem: 'belongs to no backup' },
    ]),
  )
  expect(findings).toHaveLength(4)
  // The console and scripts ask for the same.
  expect((await hub.api('GET', '/admin/doctor')).body).toMatchObject({ state: 'never', finding_count: 0 })
  expect((await hub.api('POST', '/admin/doctor')).body.state).toBe('running')
  const examined = async () => (await hub.api('GET', '/admin/doctor')).body
  await expect.poll(async () => (await examined()).state, { timeout: 60_000 }).toBe('done')
  const found = await examined()
  expect(found).toMatchObject({ finding_count: 4, error: null })
  expect(found.findings).toEqual(findings)
  // It is kept.
  await hub.kill('host-agent')
  await hub.waitHealthy()
  expect(await examined()).toEqual(found)
  renameSync(`${path}.away`, `${path}.blocks`)
  rmSync(stranger)
  rmSync(orphan)
  expect((await hub.doctor()).exitCode).toBe(0)
})

it('brings back every restore point of a hub whose database is gone', async () => {
  await hub.restart(() => {
    const data = join(hub.folder, 'data')
    expect(readdirSync(data)).toContain('database')
    rmSync(join(data, 'database'), { recursive: true })
  })
  expect((await hub.api('GET', '/backups')).body.total_count).toBe(0)
  const { exitCode, adopted, findings } = await hub.doctor('--adopt')
  expect({ exitCode, findings }).toEqual({ exitCode: 0, findings: [] })
  expect(adopted.refused).toEqual([])
  expect(adopted.backups.toSorted()).toEqual(points.toSorted())
  for (const id of points) expect(await restoredFile(id)).toBe(digests.get(id))
  const { body } = await hub.api('GET', `/backups/${points[2]}`)
  expect(body).toMatchObject({ status: 'completed', backup_type: 'incremental', parent_backup_id: points[1] })
  // What is known stays as it is.
  expect((await hub.doctor('--adopt')).adopted).toMatchObject({ repositories: [], backups: [] })
}, 180_000)
