/** A mount over SFTP, read by rclone and by OpenSSH's own client: every file equal, several volumes, nothing written, and nothing but files. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests()
type Door = { username: string; password: string; sftp: { port: number; host_key: string } }

const environment = () => ({ PATH: process.env.PATH, HOME: hub.folder, RCLONE_CONFIG: '/dev/null' })
const rclone = async ({ username, password, sftp }: Door, ...args: string[]) => {
  const options = { env: environment(), extendEnv: false }
  const { stdout: obscured } = await execa('/usr/bin/rclone', ['obscure', '-'], { input: password, ...options })
  const remote = ['--sftp-host', '127.0.0.1', '--sftp-port', String(sftp.port), '--sftp-user', username]
  return execa(
    '/usr/bin/rclone',
    [...args, ...remote, '--sftp-pass', obscured, '--sftp-shell-type', 'none', '--retries', '1'],
    { ...options, reject: false },
  )
}

/** OpenSSH asks a program for the password, and knows the hub by its key. */
const openssh = async (program: string, { username, password, sftp }: Door, args: string[], input = '') => {
  const [askpass, known] = [join(hub.folder, 'askpass'), join(hub.folder, 'known_hosts')]
  writeFileSync(askpass, '#!/bin/sh\necho "$DOOR_PASSWORD"\n')
  chmodSync(askpass, 0o700)
  const { stdout: keys } = await execa('/usr/bin/ssh-keyscan', ['-p', String(sftp.port), '127.0.0.1'], {
    env: environment(),
  })
  writeFileSync(known, `${keys}\n`)
  const { stdout: shown } = await execa('/usr/bin/ssh-keygen', ['-l', '-f', known])
  expect(shown).toContain(sftp.host_key)
  const options = [
    ...['StrictHostKeyChecking=yes', `UserKnownHostsFile=${known}`, 'NumberOfPasswordPrompts=1', `User=${username}`],
  ].flatMap((option) => ['-o', option])
  const port = ['-o', `Port=${sftp.port}`]
  return execa(program, ['-F', 'none', ...options, ...port, ...args], {
    env: { ...environment(), SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', DOOR_PASSWORD: password },
    extendEnv: false,
    reject: false,
    input,
  })
}
const batch = (door: Door, ...commands: string[]) =>
  openssh('/usr/bin/sftp', door, ['-q', '127.0.0.1'], `${commands.map((command) => `${command}\n`).join('')}`)

const opened = async (body: object): Promise<{ id: string; door: Door }> => {
  const { body: mount } = await hub.api('POST', '/restore/mount', body)
  const { status, body: door } = await hub.api('POST', `/restore/${mount.mount_id}/access`)
  expect(status).toBe(201)
  return { id: mount.mount_id, door }
}
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const large = randomBytes(20_000_000)
/** More than one listing of the hub holds. */
const manyFiles = 12_000
const names = ['ä ö ü', 'a&b<c>"d\'', '100% #1?.txt', '文件', 'x'.repeat(250)]
let backupId: string

it('is copied whole, as it was written, by rclone', async () => {
  const folder = join(hub.folder, 'vms/vm')
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 192 << 20, (root) => {
    mkdirSync(join(root, 'deep/er'), { recursive: true })
    writeFileSync(join(root, 'deep/er/large'), large)
    writeFileSync(join(root, 'empty'), '')
    for (const name of names) writeFileSync(join(root, name), name)
    writeFileSync(join(root, 'sparse'), 'x')
    truncateSync(join(root, 'sparse'), 3_000_000)
    symlinkSync('deep/er/large', join(root, 'link'))
    symlinkSync('/nowhere', join(root, 'dangling'))
    symlinkSync('loop', join(root, 'loop'))
    mkdirSync(join(root, 'many'))
    for (let at = 0; at < manyFiles; at++) writeFileSync(join(root, `many/${at}`), '')
  })
  filesystemImage(join(folder, 'disk1.raw'), 'ntfs', 32 << 20, (root) =>
    writeFileSync(join(root, 'on ntfs.txt'), 'windows'),
  )
  backupId = (await runBackup(hub, await registerVm(hub, 'vm'), 'full')).backup_id
  const { id, door } = await opened({ backup_id: backupId, disk_index: 0 })
  const copy = join(hub.folder, 'copy')
  const { exitCode, stderr } = await rclone(
    door,
    'copy',
    ':sftp:',
    copy,
    '--exclude',
    '/{lost+found/**,many/**,dangling,loop}',
    '--skip-links',
  )
  expect(exitCode, stderr).toBe(0)
  expect(sha256(readFileSync(join(copy, 'deep/er/large')))).toBe(sha256(large))
  expect(readFileSync(join(copy, 'empty')).length).toBe(0)
  expect(readFileSync(join(copy, 'sparse')).length).toBe(3_000_000)
  for (const name of names) expect(readFileSync(join(copy, name), 'utf8')).toBe(name)
  const listed = (await rclone(door, 'lsf', ':sftp:many')).stdout.split('\n')
  expect(new Set(listed).size).toBe(manyFiles)
  await hub.api('DELETE', `/restore/${id}`)
})

it("knows OpenSSH's client: it sees the key it was told, follows links, and is told why not", async () => {
  const { id, door } = await opened({ backup_id: backupId, disk_index: 0 })
  const target = join(hub.folder, 'got')
  const { exitCode, stderr, stdout } = await batch(
    door,
    'cd deep/er',
    'pwd',
    'cd /',
    `get link ${target}`,
    'ls -l dangling',
    '-get loop /dev/null',
    '-get nothing /dev/null',
  )
  expect(exitCode, stderr).toBe(0)
  expect(sha256(readFileSync(target))).toBe(sha256(large))
  expect(stdout).toContain('Remote working directory: /deep/er')
  expect(`${stdout}${stderr}`).toMatch(/not found|No such file/)
  for (const change of [`put ${target} new`, 'rm empty', 'mkdir folder', 'rename empty full', 'chmod 777 empty']) {
    const refused = await batch(door, change)
    expect(`${refused.stdout}${refused.stderr}`, change).toMatch(/[Pp]ermission denied|read-only/)
  }
  expect((await batch(door, `get empty ${target}`)).exitCode).toBe(0)
  await hub.api('DELETE', `/restore/${id}`)
  const gone = await batch(door, `get empty ${target}`)
  expect(`${gone.stdout}${gone.stderr}`).toMatch(/not found/)
})

it('shows several volumes as folders', async () => {
  const { id, door } = await opened({ backup_id: backupId, all_disks: true })
  const { stdout } = await rclone(door, 'lsf', '-R', '--exclude', 'many/**', ':sftp:')
  expect(stdout.split('\n').filter((line) => /^partition-\d+\/$/.test(line))).toHaveLength(2)
  expect(stdout).toContain('/on ntfs.txt')
  expect(stdout).toContain('/文件')
  await hub.api('DELETE', `/restore/${id}`)
})

it('lets nobody in without the password of a mount, and to nothing but its files', async () => {
  const { id, door } = await opened({ backup_id: backupId, disk_index: 1 })
  for (const password of ['wrong', hub.token]) {
    const { exitCode, stderr } = await batch({ ...door, password }, 'ls')
    expect(exitCode).not.toBe(0)
    expect(stderr).toMatch(/Permission denied|Connection closed/)
  }
  const command = await openssh('/usr/bin/ssh', door, ['127.0.0.1', 'id'])
  expect(command.exitCode).not.toBe(0)
  expect(command.stdout).toBe('')
  const forwarded = await openssh('/usr/bin/ssh', door, ['-W', `127.0.0.1:${new URL(hub.url).port}`, '127.0.0.1'])
  expect(forwarded.exitCode).not.toBe(0)
  expect(forwarded.stdout).toBe('')

  const { body } = await hub.api('GET', '/admin/audit?limit=200')
  const said = body.entries
    .filter(({ action }: { action: string }) => action === 'restore/sftp')
    .map(
      ({ status_code, code, path }: { status_code: number; code: string | null; path: string }) =>
        `${status_code} ${code} ${path}`,
    )
  expect(said).toContain('200 null /link')
  expect(said).toContain('401 TOKEN_INVALID sftp')
  await hub.api('DELETE', `/restore/${id}`)
})

it('cuts off who floods it or does not speak its language, and serves the others', async () => {
  const { id, door } = await opened({ backup_id: backupId, disk_index: 1 })
  const talk = (bytes: Buffer) =>
    new Promise<void>((resolve) => {
      const socket = connect(door.sftp.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.once('close', () => resolve())
      socket.resume()
      socket.write(bytes)
    })
  await talk(randomBytes(100_000))
  await talk(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), randomBytes(100_000)]))
  // Those that say nothing take places for a while; more than there are places for are turned away.
  const silent = Array.from({ length: 100 }, () => connect(door.sftp.port, '127.0.0.1').on('error', () => undefined))
  await Promise.race(silent.map((socket) => once(socket.resume(), 'close')))
  for (const socket of silent) socket.destroy()
  expect((await rclone(door, 'lsf', ':sftp:')).stdout).toBe('on ntfs.txt')
  expect((await hub.fetch('/restore/mounts')).status).toBe(200)
  await hub.api('DELETE', `/restore/${id}`)
})
