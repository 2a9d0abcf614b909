/** A mount over WebDAV, read by rclone as by anybody's client: every file equal, names of any bytes, several volumes, nothing written. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { expect, it } from 'vitest'
import { registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests()
const rclone = async (door: { url: string; username: string; password: string }, ...args: string[]) => {
  const env = { PATH: process.env.PATH, HOME: hub.folder, RCLONE_CONFIG: '/dev/null' }
  const { stdout: obscured } = await execa('/usr/bin/rclone', ['obscure', '-'], {
    input: door.password,
    env,
    extendEnv: false,
  })
  const remote = [
    '--webdav-url',
    new URL(door.url, hub.url).href,
    '--webdav-user',
    door.username,
    '--webdav-pass',
    obscured,
  ]
  return execa('/usr/bin/rclone', [...args, ...remote], { env, extendEnv: false, reject: false })
}
const sumsOf = (root: string) =>
  (readdirSync(root, { recursive: true }) as string[])
    .filter((name) => statSync(join(root, name)).isFile())
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(root, name)))
          .digest('hex')}`,
    )
    .sort()
const opened = async (body: object) => {
  const { body: mount } = await hub.api('POST', '/restore/mount', body)
  const { status, body: door } = await hub.api('POST', `/restore/${mount.mount_id}/access`)
  expect(status).toBe(201)
  return { id: mount.mount_id as string, door }
}
let backupId: string
/** More than the agent lists at a time. */
const manyFiles = 12_000

it('is copied whole, as it was written', async () => {
  const folder = join(hub.folder, 'vms/vm')
  const written = join(hub.folder, 'written')
  mkdirSync(folder)
  const fill = (root: string) => {
    mkdirSync(join(root, 'deep/er/und'), { recursive: true })
    writeFileSync(join(root, 'deep/er/und/file'), 'content '.repeat(200_000))
    writeFileSync(join(root, 'empty'), '')
    for (const name of ['ä ö ü', 'a&b<c>"d\'', '100% #1?.txt', '文件', 'x'.repeat(250)])
      writeFileSync(join(root, name), name)
    writeFileSync(join(root, 'sparse'), 'x')
    truncateSync(join(root, 'sparse'), 3_000_000)
  }
  mkdirSync(written)
  fill(written)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', 128 << 20, (root) => {
    fill(root)
    symlinkSync('deep/er/und/file', join(root, 'link'))
    symlinkSync('/nowhere', join(root, 'dangling'))
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
    ':webdav:',
    copy,
    '--exclude',
    '/lost+found/**',
    '--exclude',
    '/{link,dangling,many/**}',
  )
  expect(exitCode, stderr).toBe(0)
  expect(sumsOf(copy)).toEqual(sumsOf(written))
  const names = (await rclone(door, 'lsf', ':webdav:many')).stdout.split('\n')
  expect(new Set(names).size).toBe(manyFiles)
  // What a link leads to is what is read through it.
  const { stdout } = await rclone(door, 'cat', ':webdav:link')
  expect(stdout.length).toBe('content '.length * 200_000)
  await hub.api('DELETE', `/restore/${id}`)
})

it('shows several volumes as folders', async () => {
  const { id, door } = await opened({ backup_id: backupId, all_disks: true })
  const { stdout } = await rclone(door, 'lsf', ':webdav:')
  const folders = stdout.split('\n').sort()
  expect(folders).toHaveLength(2)
  const listings = await Promise.all(folders.map(async (name) => (await rclone(door, 'lsf', `:webdav:${name}`)).stdout))
  expect(listings.some((listing) => listing.includes('on ntfs.txt'))).toBe(true)
  expect(listings.some((listing) => listing.includes('文件'))).toBe(true)
  await hub.api('DELETE', `/restore/${id}`)
})

it('is not written to, and lets nobody in without its password', async () => {
  const { id, door } = await opened({ backup_id: backupId, disk_index: 1 })
  const local = join(hub.folder, 'local.txt')
  writeFileSync(local, 'mine')
  for (const args of [
    ['copyto', local, ':webdav:new.txt'],
    ['deletefile', ':webdav:on ntfs.txt'],
    ['mkdir', ':webdav:folder'],
  ])
    expect((await rclone(door, ...args, '--retries', '1')).exitCode, args.join(' ')).not.toBe(0)
  expect((await rclone(door, 'cat', ':webdav:on ntfs.txt')).stdout).toBe('windows')
  expect((await rclone({ ...door, password: 'wrong' }, 'lsf', ':webdav:', '--retries', '1')).stderr).toContain('401')
  await hub.api('DELETE', `/restore/${id}`)
})
