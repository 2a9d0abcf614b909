/** The disk of a repository fills up in the middle of a backup: that backup fails and says why, all else goes on. */
import { randomFillSync } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { type Hub, registerVm, runBackup, startHub, waitForEnd } from '../support/hub.ts'
import { blankImage, sh } from '../support/images.ts'

const mib = 2 ** 20
let before: Census
let hub: Hub
let small: string
beforeAll(async () => {
  before = await census()
  hub = await startHub()
  small = join(hub.folder, 'small')
  mkdirSync(small)
  const disk = join(hub.folder, 'small.fs')
  blankImage(disk, 700 * mib)
  sh('/usr/sbin/mkfs.ext4', ['-q', '-F', '-m', '0', disk])
  sh('/usr/bin/mount', ['-o', 'loop', disk, small])
})
afterAll(async () => {
  await hub.stop(() => sh('/usr/bin/umount', [small]))
  expect(await leftBehind(before)).toEqual([])
})

const makeVm = (name: string, megabytes: number) => {
  const folder = join(hub.folder, 'vms', name)
  mkdirSync(folder)
  const fd = openSync(join(folder, 'disk0.raw'), 'w')
  const data = Buffer.alloc(mib)
  for (let at = 0; at < megabytes; at++) writeSync(fd, randomFillSync(data))
  closeSync(fd)
  return registerVm(hub, name)
}

it('fails with INSUFFICIENT_STORAGE, harms nobody, and works again once there is room', async () => {
  const first = await makeVm('first', 60)
  const large = await makeVm('large', 550)
  mkdirSync(join(small, 'repository'))
  const { body: created } = await hub.api('POST', '/repositories', {
    name: 'small',
    type: 'local',
    config: { path: join(small, 'repository') },
  })
  const repositoryId: string = created.repository_id
  const whole = await runBackup(hub, { ...first, repositoryId }, 'full')
  expect(whole.status).toBe('completed')

  const { body: started } = await hub.api('POST', '/backups', {
    vm_name: 'large',
    repository_id: repositoryId,
    backup_type: 'full',
  })
  // At once, for a quick machine copies it in a second: somebody else fills the disk. How much is left is tried until nothing is.
  const filler = join(small, 'filler')
  for (const size of ['512M', '256M', '128M', '64M', '16M', '4M', '1M'])
    for (let number = 0; number < 3; number++)
      try {
        sh('/usr/bin/fallocate', ['-l', size, `${filler}-${size}-${number}`])
      } catch {
        rmSync(`${filler}-${size}-${number}`, { force: true })
      }
  const elsewhere = runBackup(hub, first, 'full')
  const failed = await waitForEnd(hub, started.backup_id)
  expect(failed.status).toBe('failed')
  expect(failed.error_message).toContain('INSUFFICIENT_STORAGE')
  expect((await elsewhere).status).toBe('completed')

  // Nothing of it is left, and the earlier point is whole.
  await waitFor('the clean-up', async () => (await hub.api('GET', '/nbd/ports/status')).body.allocated === 0, 60_000)
  const files = readdirSync(join(small, 'repository'), { recursive: true }) as string[]
  expect(files.filter((name) => name.endsWith('.qcow2'))).toHaveLength(1)
  await hub.api('POST', `/backups/${whole.backup_id}/verify`, {})
  await waitFor(
    'the verification',
    async () => (await hub.api('GET', `/backups/${whole.backup_id}`)).body.verify_state === 'verified',
    30_000,
  )
  const refused = await hub.api('POST', '/backups', {
    vm_name: 'large',
    repository_id: repositoryId,
    backup_type: 'full',
  })
  expect([refused.status, refused.body.code]).toEqual([503, 'INSUFFICIENT_STORAGE'])

  for (const name of readdirSync(small).filter((each) => each.startsWith('filler'))) rmSync(join(small, name))
  expect((await runBackup(hub, { ...large, repositoryId }, 'full')).status).toBe('completed')
  expect((await runBackup(hub, { ...first, repositoryId }, 'incremental')).status).toBe('completed')
})
