/** Repositories on network shares, with a real NFS and a real SMB server on the same machine, which go away and come back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DiskChain } from '../../contract/agent.ts'
import type { NetworkShare } from '../../contract/shares.ts'
import { waitFor } from '../../runtime/service.ts'
import { copyInto, filesystemImage, sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealRequest } from '../support/sealed-disk.ts'

const password = 'pass, word "of" smb'
let real: RealAgent
let [nfs, cifs]: NetworkShare[] = []
let smbd: ChildProcess | undefined
let image: string
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string; details?: string }) => `${error.code} ${error.details ?? ''}`,
  )
const path = (text: string) => ({ path_b64: Buffer.from(text).toString('base64') })
const nfsServer = (threads: number) => sh('/usr/sbin/rpc.nfsd', ['--no-udp', '--no-nfs-version', '3', String(threads)])
const startSmb = async (folder: string, shared: string) => {
  for (const name of ['private', 'lock', 'state', 'cache', 'pid', 'ncalrpc']) mkdirSync(join(folder, name))
  const folders = ['private', 'lock', 'state', 'cache', 'pid'].map((name) => {
    const option =
      { private: 'private dir', lock: 'lock directory', state: 'state directory' }[name] ?? `${name} directory`
    return `${option} = ${folder}/${name}`
  })
  const configuration = join(folder, 'smb.conf')
  writeFileSync(
    configuration,
    [
      ...['[global]', 'server role = standalone', 'interfaces = 127.0.0.1', 'bind interfaces only = yes'],
      ...[
        'disable spoolss = yes',
        'load printers = no',
        'smb ports = 1445',
        'log level = 0',
        `ncalrpc dir = ${folder}/ncalrpc`,
      ],
      ...folders,
      ...['[backup]', `path = ${shared}`, 'read only = no', 'valid users = root', 'force user = root'],
      '',
    ].join('\n'),
  )
  sh('/usr/bin/smbpasswd', ['-c', configuration, '-a', '-s', 'root'], `${password}\n${password}\n`)
  // A group of its own: at its end it takes its whole group along.
  smbd = spawn('/usr/sbin/smbd', ['--foreground', '--no-process-group', '-s', configuration], {
    stdio: 'ignore',
    detached: true,
  })
  await waitFor('smbd', async () => sh('/usr/bin/ss', ['-ltn']).includes(':1445'), 60_000)
}

beforeAll(async () => {
  for (const module of ['nfsd', 'nfsv4', 'cifs']) sh('/usr/sbin/modprobe', [module])
  real = await openRealAgent()
  mkdirSync(real.repositoryPath, { recursive: true })
  await real.agent.ensureRepository('local', real.repositoryPath)
  const [exported, shared] = ['exported', 'shared'].map((name) => join(real.folder, name)) as [string, string]
  for (const folder of [exported, shared]) {
    mkdirSync(folder)
    sh('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=300m', 'tmpfs', folder])
  }
  for (const folder of ['/var/lib/nfs', '/var/lib/nfs/v4recovery', '/var/lib/nfs/rpc_pipefs'])
    mkdirSync(folder, { recursive: true })
  sh('/usr/bin/mount', ['-t', 'nfsd', 'nfsd', '/proc/fs/nfsd'])
  writeFileSync('/etc/exports', `${exported} 127.0.0.1(rw,fsid=0,insecure,no_root_squash,no_subtree_check,async)\n`)
  sh('/usr/sbin/exportfs', ['-ra'])
  sh('/usr/sbin/nfsdcld', [])
  nfsServer(4)
  sh('/usr/sbin/rpc.mountd', ['--no-nfs-version', '3'])
  const smb = join(real.folder, 'smb')
  mkdirSync(smb)
  await startSmb(smb, shared)
  const at = (name: string) => join(real.folder, 'mounted', name)
  nfs = {
    type: 'nfs',
    server: '127.0.0.1',
    export_path: '/',
    nfs_version: '4.2',
    mount_point: at('nfs'),
    options: ['timeo=20', 'retrans=1'],
  }
  cifs = {
    type: 'cifs',
    server: '127.0.0.1',
    share_name: 'backup',
    username: 'root',
    password,
    domain: '',
    mount_point: at('cifs'),
    options: ['port=1445', 'echo_interval=4'],
  }
  image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 24 << 20, (root) => writeFileSync(join(root, 'file'), 'what the guest wrote'))
}, 600_000)
afterAll(async () => {
  nfsServer(0)
  sh('/usr/sbin/exportfs', ['-ua'])
  const ended = new Promise((resolve) => smbd?.once('exit', resolve))
  smbd?.kill('SIGTERM')
  await ended
  for (const name of ['exported', 'shared']) sh('/usr/bin/umount', ['--lazy', join(real.folder, name)])
  await real.close()
})

let number = 0
const write = async (repository_id: string, parents: string[] = []): Promise<DiskChain> => {
  const base = `point-${++number}`
  const port = real.firstPort + (number % 30)
  const file = { repository_id, vm_backup_context_id: 'ctx-shared', disk_index: 0, base }
  await real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port,
    file,
    virtual_size_bytes: statSync(image).size,
    parent_bases: parents,
    shared_connections: 10,
  })
  copyInto(image, port, base)
  const state = await real.agent.sealExport(base, { ...sealRequest(base), wait_seconds: 60 })
  expect(state.status, state.error_message ?? '').toBe('sealed')
  await real.agent.dropExport(base, false)
  return { repository_id, vm_backup_context_id: 'ctx-shared', disk_index: 0, bases: [base, ...parents] }
}
const verify = async (chain: DiskChain) => {
  for (;;) {
    const ask = { chain, manifest_digest: null, from_bytes: 0, bytes_per_second: 0, wait_seconds: 60 }
    const state = await real.agent.verifyFile(ask)
    if (state.status === 'done') return state.damages
  }
}
const readBack = async (chain: DiskChain) => {
  const id = crypto.randomUUID()
  await real.agent.ensureMount(id, mountOf(chain))
  const info = await real.agent.fileInfo(id, path('/file'))
  const stream = await real.agent.readFile(id, { ...path('/file'), start: 0, length: info.size, etag: '' })
  const text = Buffer.concat(await stream.toArray()).toString()
  await real.agent.removeMount(id, 'user')
  return text
}
const isMounted = (share: NetworkShare) =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${share.mount_point} `)

it.each([
  ['NFS', () => nfs!],
  ['CIFS', () => cifs!],
] as const)(
  'writes, chains, checks, mounts, copies, merges and removes restore points over %s',
  async (name, shareOf) => {
    const share = shareOf()
    const id = name.toLowerCase()
    const tested = await real.agent.testRepository(share)
    expect(tested.total_bytes).toBeGreaterThan(200 << 20)
    // A test leaves nothing mounted.
    expect(isMounted(share)).toBe(false)
    await real.agent.ensureRepository(id, share)
    expect(isMounted(share)).toBe(true)
    const options = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((line) => line.includes(share.mount_point))!
    for (const option of ['nosuid', 'nodev', 'noexec', 'soft']) expect(options).toContain(option)

    const full = await write(id)
    const increment = await write(id, full.bases)
    expect(await verify(increment)).toEqual([])
    expect(await readBack(increment)).toBe('what the guest wrote')
    const [base] = full.bases
    const copied = await real.agent.copyFile({
      file: { ...full, base: base! } as never,
      to_repository_id: 'local',
      manifest_digest: null,
      replace: false,
      bytes_per_second: 0,
      wait_seconds: 60,
    })
    expect(copied.status).toBe('done')
    expect(await verify({ ...full, repository_id: 'local' })).toEqual([])
    const { repository_id, vm_backup_context_id, disk_index } = full
    for (const step of ['prepare', 'finish'] as const) {
      const merged = await real.agent.mergeFile({
        disk: { repository_id, vm_backup_context_id, disk_index },
        base: base!,
        into_base: increment.bases[0]!,
        below_bases: [],
        step,
        stored_bytes: 0,
        wait_seconds: 60,
      })
      expect(merged.status).toBe('done')
    }
    const alone = { ...increment, bases: increment.bases.slice(0, 1) }
    expect(await verify(alone)).toEqual([])
    expect(await readBack(alone)).toBe('what the guest wrote')
    await real.agent.deleteDiskFile({ ...full, repository_id: 'local', base: base! } as never)
    await real.agent.deleteDiskFile({ ...alone, base: alone.bases[0]! } as never)
    expect(readdirSync(share.mount_point)).toEqual(['sendense-repository.json'])
  },
)

it('gives no secret away, and says why a share can not be had', async () => {
  const wrong = { ...cifs!, password: 'wrong', mount_point: join(real.folder, 'mounted/wrong') } as NetworkShare
  expect(await code(real.agent.testRepository(wrong))).toMatch(/^REPOSITORY_TEST_FAILED .*can not be mounted/)
  const missing = { ...nfs!, export_path: '/none', mount_point: join(real.folder, 'mounted/none') } as NetworkShare
  expect(await code(real.agent.testRepository(missing))).toMatch(/^REPOSITORY_TEST_FAILED .*can not be mounted/)
  expect(await code(real.agent.ensureRepository('again', nfs!))).toMatch(/overlaps another repository/)
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain('pass,')
  const kept = join(real.folder, 'state/credentials/cifs.cifs')
  expect(statSync(kept).mode & 0o777).toBe(0o600)
  expect(existsSync(join(real.folder, 'mounted/wrong'))).toBe(false)
})

it('keeps working elsewhere while a server is gone, names what does not answer, and goes on when it is back', async () => {
  nfsServer(0)
  const began = performance.now()
  expect(await code(real.agent.repositoryStorage('nfs'))).toMatch(/^SERVICE_UNAVAILABLE/)
  // Ten seconds is what a storage is given; an emulated machine takes its time to say so.
  expect(performance.now() - began).toBeLessThan(60_000)
  const elsewhere = await write('local')
  expect(await readBack(elsewhere)).toBe('what the guest wrote')
  await waitFor(
    'the watch to notice it',
    async () => {
      const asked = performance.now()
      const answer = await code(real.agent.repositoryStorage('nfs'))
      return answer.startsWith('SERVICE_UNAVAILABLE') && performance.now() - asked < 1_000
    },
    120_000,
  )
  expect((await real.agent.repositoryStorage('cifs')).total_bytes).toBeGreaterThan(0)
  nfsServer(4)
  await waitFor('NFS to be back', async () => (await code(real.agent.repositoryStorage('nfs'))) === 'no error', 240_000)
  const back = await write('nfs')
  expect(await verify(back)).toEqual([])
})

it('mounts its shares again after its end or death, and lets go of what it forgets', async () => {
  await real.killAndRestart()
  expect((await real.agent.repositoryStorage('cifs')).total_bytes).toBeGreaterThan(0)
  for (const [id, share] of [
    ['nfs', nfs!],
    ['cifs', cifs!],
  ] as const) {
    await real.agent.forgetRepository(id)
    expect(isMounted(share)).toBe(false)
  }
  expect(readdirSync(join(real.folder, 'state/credentials'))).toEqual([])
})
