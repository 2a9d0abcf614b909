/** Errors that several functions share, each provoked at each of them. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HubError } from '../../contract/errors.ts'
import { backupCopies } from '../../db/schema/index.ts'
import { type Alone, completedBackup, openAlone, readyVm } from '../support/alone.ts'

let alone: Alone
let vm: Awaited<ReturnType<typeof readyVm>>
let backupId: string
beforeAll(async () => {
  alone = await openAlone()
  vm = await readyVm(alone, { name: 'web' })
  backupId = (await completedBackup(alone, vm)).backup_id
  for (const key of alone.agent.files.keys()) alone.agent.mountable.add(key)
})
afterAll(() => alone.close())
const codeOf = async (method: string, path: string, body?: object) => {
  const { status, body: answered } = await alone.call(method, path, body)
  expect(status).toBeGreaterThanOrEqual(400)
  return answered.code
}

describe('files of a mount', () => {
  const reads = {
    'file-info': (id: string, query: string) => codeOf('GET', `/restore/${id}/file-info?${query}`),
    files: (id: string, query: string) => codeOf('GET', `/restore/${id}/files?${query}`),
    download: (id: string, query: string) => codeOf('GET', `/restore/${id}/download?${query}`),
    'download-directory': (id: string, query: string) =>
      codeOf('GET', `/restore/${id}/download-directory?format=zip&${query}`),
    archive: (id: string, query: string) =>
      codeOf('POST', `/restore/${id}/archive`, { paths: [Object.fromEntries(new URLSearchParams(query))] }),
    'download-token': (id: string, query: string) =>
      codeOf('POST', `/restore/${id}/download-token`, {
        kind: 'file',
        ...Object.fromEntries(new URLSearchParams(query)),
      }),
  }
  const mount = async () =>
    (await alone.call('POST', '/restore/mount', { backup_id: backupId, disk_index: 0 })).body.mount_id as string

  it.each(Object.entries(reads))('%s names what is wrong with the path', async (_, read) => {
    const id = await mount()
    expect(await read(id, 'path=etc')).toBe('PATH_INVALID')
    expect(await read(id, 'path=/../etc')).toBe('PATH_FORBIDDEN')
    expect(await read(id, 'path=/none')).toBe('FILE_NOT_FOUND')
    expect(await read(id, 'path=/partition-7/etc')).toBe('PARTITION_NOT_FOUND')
    await alone.call('DELETE', `/restore/${id}`)
  })
  it.each(Object.entries(reads))(
    '%s tells an unknown mount, one in the making and one that has ended',
    async (_, read) => {
      expect(await read(randomUUID(), 'path=/etc')).toBe('MOUNT_NOT_FOUND')
      const id = await mount()
      await alone.agent.removeMount(id, 'expired')
      await alone.db.pool.query("UPDATE restore_mounts SET status = 'mounting' WHERE id = ?", [id])
      expect(await read(id, 'path=/etc')).toBe('MOUNT_NOT_READY')
      await alone.db.pool.query("UPDATE restore_mounts SET status = 'mounted' WHERE id = ?", [id])
      expect(await read(id, 'path=/etc')).toBe('MOUNT_EXPIRED')
      expect(await read(id, 'path=/etc')).toBe('MOUNT_EXPIRED')
    },
  )
  it('downloads refuse what is no regular file', async () => {
    alone.agent.tree.set('/pipe', '')
    alone.agent.special.add('/pipe')
    const id = await mount()
    for (const read of [reads.download, reads['download-token']]) {
      expect(await read(id, 'path=/pipe')).toBe('NOT_A_REGULAR_FILE')
      expect(await read(id, 'path=/etc')).toBe('IS_DIRECTORY')
    }
    await alone.call('DELETE', `/restore/${id}`)
  })
  it('an unknown mount can not be ended', async () => {
    expect(await codeOf('DELETE', `/restore/${randomUUID()}`)).toBe('MOUNT_NOT_FOUND')
  })
})

describe('discovery', () => {
  const calls = {
    'discover-vms': {},
    'add-vms': { vm_names: ['web'] },
    preview: {},
  }
  const failures = ['NODE_UNREACHABLE', 'NODE_ERROR', 'DISCOVERY_FAILED'] as const
  it.each(Object.entries(calls))('%s says who failed', async (name, more) => {
    for (const code of failures) {
      alone.node.failure = new HubError(code, 'as the test wants it')
      expect(await codeOf('POST', `/discovery/${name}`, { credential_id: vm.credentialId, ...more })).toBe(code)
    }
    alone.node.failure = undefined
    expect(await codeOf('POST', `/discovery/${name}`, { credential_id: 999_999, ...more })).toBe('UNKNOWN_CREDENTIAL')
  })
  it('bulk-add, which brings its own credentials, says who failed', async () => {
    const source = { vcenter: 'vc.example', username: 'u', password: 'p', datacenter: 'DC1', selected_vms: ['web'] }
    for (const code of failures) {
      alone.node.failure = new HubError(code, 'as the test wants it')
      expect(await codeOf('POST', '/discovery/bulk-add', source)).toBe(code)
    }
    alone.node.failure = undefined
  })
})

it('a name that several vCenters know is ambiguous everywhere', async () => {
  const source = { vcenter: 'other.example', username: 'u', password: 'p', datacenter: 'DC2' }
  alone.node.vms = [{ id: 'twin', name: 'twin', disks: [] }] as unknown as typeof alone.node.vms
  await readyVm(alone, { name: 'twin' })
  await alone.call('POST', '/discovery/bulk-add', { ...source, selected_vms: ['twin'] })
  for (const path of ['/vm-contexts/twin/disks', '/vm-contexts/twin/recent-jobs', '/backups/chain?vm_name=twin'])
    expect(await codeOf('GET', path)).toBe('VM_AMBIGUOUS')
  expect(
    await codeOf('POST', '/backups', { vm_name: 'twin', repository_id: vm.repositoryId, backup_type: 'full' }),
  ).toBe('VM_AMBIGUOUS')
})

describe('backups', () => {
  it('that are not there can not be shown', async () => {
    expect(await codeOf('GET', '/backups/backup-none-1')).toBe('BACKUP_NOT_FOUND')
  })
  it('that run have no files to be indexed, compared or fetched', async () => {
    const running = (
      await alone.call('POST', '/backups', {
        vm_name: (await readyVm(alone, { name: 'running' })).vmName,
        repository_id: vm.repositoryId,
        backup_type: 'full',
      })
    ).body.backup_id
    for (const [id, code] of [
      [running, 'BACKUP_NOT_COMPLETED'],
      ['none', 'BACKUP_NOT_FOUND'],
    ]) {
      expect(await codeOf('POST', `/backups/${id}/index`)).toBe(code)
      expect(await codeOf('GET', `/backups/${id}/diff/${backupId}`)).toBe(code)
      expect(await codeOf('GET', `/backups/${id}/file?volume=v&path=/x`)).toBe(code)
    }
  })
  it('give a file only where there is one', async () => {
    alone.agent.tree.set('/pipe', '')
    alone.agent.special.add('/pipe')
    const fetch = (path: string, volume = 'disk 0 partition 0') =>
      codeOf('GET', `/backups/${backupId}/file?${new URLSearchParams({ volume, path })}`)
    expect(await fetch('/pipe')).toBe('NOT_A_REGULAR_FILE')
    expect(await fetch('/../etc/hostname')).toBe('PATH_FORBIDDEN')
    expect(await fetch('/etc/hostname', 'vg/none')).toBe('PARTITION_NOT_FOUND')
    const mountable = [...alone.agent.mountable]
    alone.agent.mountable.clear()
    expect(await fetch('/etc/hostname')).toBe('NO_MOUNTABLE_FILESYSTEM')
    for (const key of mountable) alone.agent.mountable.add(key)
    const lost = (await completedBackup(alone, await readyVm(alone, { name: 'lost' }))).backup_id
    alone.agent.files.clear()
    expect(await codeOf('GET', `/backups/${lost}/file?volume=v&path=/x`)).toBe('CHAIN_BROKEN')
  })
  it('that are being copied can not be deleted', async () => {
    const copied = (await completedBackup(alone, await readyVm(alone, { name: 'copied' }))).backup_id
    const copy = { id: randomUUID(), sourceBackupId: copied, repositoryId: vm.repositoryId, status: 'copying' } as const
    await alone.db.orm.insert(backupCopies).values(copy)
    expect(await codeOf('DELETE', `/backups/${copied}`)).toBe('COPY_RUNNING')
  })
})

describe('repositories', () => {
  it('of a type that is not built are refused by the test, too', async () => {
    expect(await codeOf('POST', '/repositories/test', { type: 's3', config: { bucket: 'b' } })).toBe(
      'UNSUPPORTED_REPOSITORY_TYPE',
    )
  })
  it('can not move to where nothing can be kept', async () => {
    const made = await alone.call('POST', '/repositories', {
      name: 'moves',
      type: 'local',
      config: { path: `/backups/${randomUUID()}` },
    })
    expect(
      await codeOf('PATCH', `/repositories/${made.body.repository_id}`, { config: { path: '/missing/folder' } }),
    ).toBe('REPOSITORY_TEST_FAILED')
  })
})

it('a broken chain is not exported', async () => {
  alone.agent.brokenFiles.add('broken.qcow2')
  const [repository] = (await alone.call('GET', '/repositories')).body.repositories
  const { port } = (await alone.call('POST', '/nbd/ports/allocate', { job_id: 'job', count: 1, export_name: 'export' }))
    .body.allocated_ports[0]
  expect(
    await codeOf('POST', '/nbd/qemu-nbd/start', {
      export_name: 'export',
      port,
      qcow2_path: `${repository.config.path}/broken.qcow2`,
    }),
  ).toBe('CHAIN_BROKEN')
})

it('the API pages are only those that are there', async () => {
  expect(await codeOf('GET', 'root:/swagger/none.js')).toBe('ROUTE_NOT_FOUND')
})
