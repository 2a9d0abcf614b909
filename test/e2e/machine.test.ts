/** A guest's filesystem that needs a kernel, on a hub as it is installed: read in a throw-away machine, whatever ends in the middle. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests({ SENDENSE_MACHINE_MOUNTS: 'auto' })
const content = randomBytes(5_000_000)
const sha256 = (bytes: Buffer | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const download = async (mountId: string) => {
  const response = await hub.fetch(`/restore/${mountId}/download?path=${encodeURIComponent('/dir/file')}`)
  return new Uint8Array(await response.arrayBuffer())
}
const mountOf = async (backup_id: string) => {
  const { status, body } = await hub.api('POST', '/restore/mount', { backup_id, disk_index: 0 })
  expect(status, JSON.stringify(body)).toBe(200)
  return body
}

it('gives back a file of XFS that the kernel of the host has never seen, also after the agent was killed', async () => {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'xfs', 320 << 20, (root) => {
    mkdirSync(join(root, 'dir'))
    writeFileSync(join(root, 'dir/file'), content)
  })
  const { backup_id } = await runBackup(hub, await registerVm(hub, 'vm'), 'full')
  const first = await mountOf(backup_id)
  expect(first.partitions).toMatchObject([{ filesystem: 'xfs', mounted: true, reader: 'machine' }])
  expect(first.nbd_device).toBeNull()
  expect(sha256(await download(first.mount_id))).toBe(sha256(content))

  await hub.kill('host-agent')
  await hub.waitHealthy()
  await waitFor(
    'the end of the mount',
    async () => {
      const { body } = await hub.api('GET', `/restore/${first.mount_id}`)
      return body.status !== 'mounted' && body.status !== 'mounting'
    },
    60_000,
  )
  const second = await mountOf(backup_id)
  expect(second.partitions).toMatchObject([{ mounted: true, reader: 'machine' }])
  expect(sha256(await download(second.mount_id))).toBe(sha256(content))
  expect((await hub.api('DELETE', `/restore/${second.mount_id}`)).status).toBe(200)
})
