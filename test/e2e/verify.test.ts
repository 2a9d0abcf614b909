/** A bit flips in a repository: the hub finds it, names it, and neither restores it nor builds on it; the rest goes on. */
import { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage, sh } from '../support/images.ts'

const hub = hubForTests()

const flipBit = (path: string, offset: number) => {
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  byte[0]! ^= 0x10
  writeSync(fd, byte, 0, 1, offset)
  closeSync(fd)
}
const verified = async (id: string) => {
  const asked = await hub.api('POST', `/backups/${id}/verify`, {})
  expect(asked.status).toBe(200)
  let body: any
  await waitFor(
    'the check',
    async () => {
      body = (await hub.api('GET', `/backups/${id}`)).body
      return body.verification === null
    },
    60_000,
  )
  return body
}

it('verifies a real chain, and finds a flipped bit in it', async () => {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  const image = join(folder, 'disk0.raw')
  filesystemImage(image, 'ext4', 96 << 20, (root) => writeFileSync(join(root, 'file'), 'x'.repeat(5_000_000)))
  const vm = await registerVm(hub, 'vm')
  const full = await runBackup(hub, vm, 'full')
  sh('/usr/bin/dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', 'count=3', 'seek=60', 'conv=notrunc', 'status=none'])
  const incremental = await runBackup(hub, vm, 'incremental')

  expect(await verified(incremental.backup_id)).toMatchObject({ verify_state: 'verified', damages: [] })
  expect((await hub.api('GET', `/backups/${full.backup_id}`)).body.verify_state).toBe('verified')

  const path: string = incremental.disks[0].qcow2_path
  flipBit(path, 6 * 65_536 + 17)
  const { verify_state, damages } = await verified(incremental.backup_id)
  expect(verify_state).toBe('damaged')
  expect(damages).toEqual([
    expect.objectContaining({ backup_id: incremental.backup_id, disk_index: 0, kind: 'data', offset_bytes: 60 << 20 }),
  ])
  const mount = (id: string) => hub.api('POST', '/restore/mount', { backup_id: id, disk_index: 0 })
  expect((await mount(incremental.backup_id)).body.code).toBe('CHAIN_BROKEN')
  const whole = await mount(full.backup_id)
  expect(whole.status).toBe(200)
  await hub.api('DELETE', `/restore/${whole.body.mount_id}`)
  const again = await hub.api('POST', '/backups', {
    vm_name: vm.vmName,
    repository_id: vm.repositoryId,
    backup_type: 'incremental',
  })
  expect(again.body.code).toBe('FULL_BACKUP_REQUIRED')

  // Whoever puts the file right gets the restore point back.
  flipBit(path, 6 * 65_536 + 17)
  expect(await verified(incremental.backup_id)).toMatchObject({ verify_state: 'verified', damages: [] })
  const restored = await mount(incremental.backup_id)
  expect(restored.status).toBe(200)
  await hub.api('DELETE', `/restore/${restored.body.mount_id}`)
})
