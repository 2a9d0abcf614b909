/** The command line, as a person and as a script uses it, against a hub with everything real. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { projectRoot } from '../../runtime/version.ts'
import { password, registerVm } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests()
const main = fileURLToPath(new URL('dist/cli/main.js', projectRoot))
const sendense = async (args: string[], { env = {}, input = '' } = {}) => {
  const { exitCode, stdout, stderr } = await execa(process.execPath, [main, ...args], {
    cwd: hub.folder,
    env: { PATH: process.env.PATH, HOME: hub.folder, ...env },
    extendEnv: false,
    input,
    reject: false,
  })
  return { exitCode, stdout, stderr }
}
/** @returns what it printed */
const done = async (...args: string[]): Promise<string> => {
  const { exitCode, stdout, stderr } = await sendense(args)
  expect(exitCode, stderr).toBe(0)
  return stdout
}
const json = async (...args: string[]) => JSON.parse(await done('--json', ...args))

it('tells what is missing before anybody is logged in', async () => {
  expect(await sendense(['vms'])).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('sendense login') })
  const nowhere = { env: { SENDENSE_URL: 'http://127.0.0.1:19', SENDENSE_TOKEN: 'x' } }
  expect(await sendense(['vms'], nowhere)).toMatchObject({
    exitCode: 4,
    stderr: expect.stringContaining('does not answer'),
  })
  expect(await sendense(['login', '--url', hub.url], { input: 'wrong\n' })).toMatchObject({ exitCode: 3 })
  expect((await sendense(['no-such-command'])).exitCode).toBe(2)
  expect((await sendense(['backup', 'vm'])).stderr).toContain('--repository')
  expect((await sendense(['--help'])).stdout).toContain('get-dir')
})
it('logs in, and keeps the token for its user alone', async () => {
  const { exitCode, stdout } = await sendense(['login', '--url', hub.url], { input: `${password}\n` })
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining('as admin (admin)')])
  const file = join(hub.folder, '.config/sendense/session.json')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(await done('vms')).toContain('No VM is managed yet.')
  expect(await done('backups')).toContain('There is no backup.')
  expect(await done('repos')).toContain('There is no repository yet.')
  expect(await done('flows')).toContain('There is no flow yet.')
  expect(await done('policies')).toContain('There is no policy yet.')
  expect(await done('mounts')).toContain('Nothing is mounted.')
})
it('backs up, checks, copies, and gets files back', async () => {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 48 << 20, (root) => {
    writeFileSync(join(root, 'file'), 'content '.repeat(100_000))
    mkdirSync(join(root, 'folder'))
    writeFileSync(join(root, 'folder/\u001b[31mred'), 'x')
  })
  const vm = await registerVm(hub, 'vm')
  expect(await done('vms')).toMatch(/VM +VCENTER +POWER +GROUPS +LAST BACKUP\nvm +image:\S+ .*never/)
  expect(await done('backup', 'vm', '--repository', 'main')).toMatch(/^backup-vm-\d+: full, .* stored$/)
  const { backup_id } = await json('backup', 'vm', '-r', 'main')
  const { backups } = await json('backups', '--vm', 'vm')
  expect(backups.map((backup: { backup_type: string }) => backup.backup_type)).toEqual(['incremental', 'full'])
  expect(await done('chain', 'vm')).toMatch(/1 +backup-vm-\d+ +full .* yes +unverified\n2 /)
  expect(await done('verify', backup_id)).toBe(`${backup_id} is as it was written`)
  expect(await done('protect', backup_id)).toBe(`${backup_id} is protected`)
  expect((await json('unprotect', backup_id)).protected).toBe(false)

  const second = join(hub.folder, 'second')
  mkdirSync(second)
  await hub.api('POST', '/repositories', { name: 'second', type: 'local', config: { path: second } })
  expect(await done('repos')).toMatch(/main +local .*\nsecond +local /)
  expect(await done('copy', backup_id, '--repository', 'second')).toContain('is in second, too')
  expect(await done('copies', backup_id)).toMatch(/second +completed +100 %/)
  expect(await done('heal', backup_id)).toContain('no damage')
  expect(await sendense(['copy', backup_id, '-r', 'third'])).toMatchObject({
    exitCode: 1,
    stderr: 'There is no repository third. There is: main, second',
  })

  const mount = await done('mount', backup_id)
  expect(await done('mounts')).toContain(mount)
  const door = await json('access', mount)
  expect(door).toMatchObject({ username: 'mount', url: `${hub.url}/api/v1/restore/${mount}/dav/` })
  expect(await done('access', mount)).toContain(`${door.url}\nuser mount, until `)
  expect(await done('ls', mount)).toMatch(/ folder\/\n.* lost\+found\/\n.* file/)
  // What a guest names its files is not for the terminal to obey.
  expect(await done('ls', mount, '/folder')).toContain('?[31mred')
  expect(await done('get', mount, '/file')).toBe('file: 781.3 KiB')
  const digest = createHash('sha256').update('content '.repeat(100_000)).digest('hex')
  expect(
    createHash('sha256')
      .update(readFileSync(join(hub.folder, 'file')))
      .digest('hex'),
  ).toBe(digest)
  expect(await sendense(['get', mount, '/file'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('--force'),
  })
  expect(await done('get', mount, '/file', '--force')).toContain('file:')
  expect(await json('get-dir', mount, '/folder')).toMatchObject({ file: 'folder.tar.gz' })
  expect(await done('get-dir', mount, '/folder', '/file', '--format', 'tar.zst', '--checksums')).toContain(
    'files.tar.zst',
  )
  expect(await done('index', backup_id)).toMatch(/^[4-9] files and folders are known$/)
  expect(await done('search', 'FIL')).toMatch(/vm +\/file +disk 0 partition 0 +781.3 KiB/)
  expect(await json('versions', 'vm', '/file')).toMatchObject({
    versions: [{ last_backup_id: backup_id, point_count: 1 }],
  })
  expect(await json('fetch', backup_id, 'disk 0 partition 0', '/file', '-f')).toMatchObject({ bytes: 800_000 })
  expect(await sendense(['get', mount, '/none'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('[FILE_NOT_FOUND]'),
  })
  expect(existsSync(join(hub.folder, 'none'))).toBe(false)
  expect(await done('unmount', mount)).toContain('unmounted')

  const { body: policy } = await hub.api('POST', '/policies', {
    name: 'by content',
    primary_repository_id: vm.repositoryId,
    index_digests: true,
  })
  await hub.api('POST', '/protection-flows', {
    name: 'protect vm',
    policy_id: policy.id,
    flow_type: 'backup',
    target_type: 'vm',
    target_id: (await hub.api('GET', '/vm-contexts/vm')).body.context.context_id,
    repository_id: vm.repositoryId,
  })
  expect(await done('run', 'protect vm')).toContain('1 backups completed')
  expect(await done('flows')).toMatch(/protect vm +vm vm +main .* success/)
  expect(await json('run', 'protect vm')).toMatchObject({ status: 'success', jobs_completed: 1 })
  // Its policy has contents read, in the background.
  const foundByContent = async () => (await json('search', '--sha256', digest)).files
  await expect
    .poll(foundByContent, { timeout: 30_000, interval: 500 })
    .toMatchObject([{ path: '/file', sha256: digest }])
  expect(await done('search', 'fil', '--sha256', digest, '--vm', 'vm')).toContain('/file')
  expect(await done('search', '--sha256', digest, '--vm', 'another')).toBe('No file fits.')
  expect(await done('versions', 'vm', '/file')).toContain(digest.slice(0, 12))
})
it('tells whom the hub tells of what, and tries it', async () => {
  expect(await done('notifications')).toBe('Nobody is told of anything yet.')
  const taken: string[] = []
  const receiver = createServer(async (request, response) => {
    taken.push(await text(request))
    response.end()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`
  const rule = { name: 'to chat', type: 'webhook', config: { url }, events: ['backup_failed'] }
  await hub.api('POST', '/notifications', rule)
  expect(await done('notifications')).toMatch(/to chat +http:\S+ +backup_failed +all +yes/)
  expect(await done('notify-test', 'to chat')).toBe('The message was taken')
  expect(JSON.parse(taken[0]!)).toMatchObject({ event: 'test' })
  await new Promise((resolve) => receiver.close(resolve))
  expect(await sendense(['notify-test', 'to chat'])).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining('It was not taken'),
  })
  expect(await done('messages', 'to chat')).toBe('It has sent nothing yet.')
})
it('ends with a code that says what went wrong', async () => {
  writeFileSync(join(hub.folder, 'vms/vm/disk0.raw'), '')
  const failed = await sendense(['backup', 'vm', '-r', 'main', '-t', 'full'])
  expect(failed).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('disk 0 has 0 bytes, not the 50331648') })
  expect(await sendense(['verify', 'backup-none'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('[BACKUP_NOT_FOUND]'),
  })
})
it('completes itself in a shell', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) expect(await done('completion', shell)).toContain('get-dir')
  writeFileSync(join(hub.folder, 'completion.bash'), await done('completion', 'bash'))
  const { stdout } = await execa('/bin/bash', [
    '-c',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: bash's own
    'source "$1"; COMP_WORDS=(sendense ver); COMP_CWORD=1; _sendense; echo "${COMPREPLY[@]}"; COMP_WORDS=(sendense get --f); COMP_CWORD=2; _sendense; echo "${COMPREPLY[@]}"',
    'bash',
    join(hub.folder, 'completion.bash'),
  ])
  expect(stdout.split('\n')).toEqual(['verify versions', '--force'])
  expect((await sendense(['completion', 'csh'])).exitCode).toBe(2)
  expect(await done('logout')).toBe('Logged out')
  expect((await sendense(['vms'])).exitCode).toBe(3)
})
