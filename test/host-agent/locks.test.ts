/** Files of an immutable repository: root can not change or remove them, and this agent does not before their date. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DiskChain, DiskFile } from '../../contract/agent.ts'
import { filesystemImage, sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { sealedDisk } from '../support/sealed-disk.ts'

let real: RealAgent
let chain: DiskChain
let file: DiskFile
let path: string
const suffixes = ['.qcow2', '.blocks', '.manifest.json']
/** On an emulated machine a date must be further away to be still to come. */
const slowness = Math.min(6, Number(process.env.SENDENSE_TEST_PATIENCE ?? 1))
const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString()
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  )
const flags = (name: string) => execFileSync('/usr/bin/lsattr', ['-d', '--', name], { encoding: 'utf8' }).split(' ')[0]

beforeAll(async () => {
  real = await openRealAgent()
  const image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 32 << 20, (root) => writeFileSync(join(root, 'file'), 'content'))
  chain = await sealedDisk(real, image)
  const { repository_id, vm_backup_context_id, disk_index, bases } = chain
  file = { repository_id, vm_backup_context_id, disk_index, base: bases[0]! }
  path = join(real.repositoryPath, vm_backup_context_id, `disk-${disk_index}`, file.base)
})
afterAll(() => real.close())

it('finds out where files can be locked', async () => {
  expect(await code(real.agent.testRepository(real.repositoryPath, true))).toBe('no error')
  // A filesystem without the flag, by way of FUSE.
  const [image, root] = [join(real.folder, 'ntfs.raw'), join(real.folder, 'ntfs')]
  filesystemImage(image, 'ntfs', 16 << 20, () => undefined)
  mkdirSync(root)
  sh('/usr/bin/mount', ['-t', 'fuse.ntfs-3g', '-o', 'loop', image, root])
  try {
    expect(await code(real.agent.testRepository(root))).toBe('no error')
    expect(await code(real.agent.testRepository(root, true))).toBe('REPOSITORY_TEST_FAILED')
  } finally {
    sh('/usr/bin/umount', [root])
  }
})

it('lets nobody change or remove a locked file before its date, which can only be put off', async () => {
  await real.agent.lockFile({ file, until: inSeconds(8 * slowness) })
  for (const suffix of [...suffixes, '.lock.json']) {
    expect(flags(path + suffix), suffix).toContain('i')
    expect(() => writeFileSync(path + suffix, 'x'), suffix).toThrow(/EPERM/)
    expect(() => unlinkSync(path + suffix), suffix).toThrow(/EPERM/)
  }
  expect(await code(real.agent.deleteDiskFile(file))).toBe('IMMUTABLE_RETENTION_ACTIVE')
  // An earlier date changes nothing.
  await real.agent.lockFile({ file, until: inSeconds(0) })
  expect(await code(real.agent.deleteDiskFile(file))).toBe('IMMUTABLE_RETENTION_ACTIVE')
  await real.agent.lockFile({ file, until: inSeconds(10 * slowness) })
  // Another agent knows it, too.
  await real.killAndRestart()
  expect(await code(real.agent.deleteDiskFile(file))).toBe('IMMUTABLE_RETENTION_ACTIVE')
  // It is read as ever.
  const checked = await real.agent.verifyFile({
    chain,
    manifest_digest: null,
    from_bytes: 0,
    bytes_per_second: 0,
    wait_seconds: 30,
  })
  expect(checked.damages).toEqual([])
  expect(await code(real.agent.lockFile({ file: { ...file, base: 'none' }, until: inSeconds(9 * slowness) }))).toBe(
    'CHAIN_BROKEN',
  )
})

it('neither merges a locked file nor one into it, and heals it where it lies', async () => {
  const { repository_id, vm_backup_context_id, disk_index } = file
  const disk = { repository_id, vm_backup_context_id, disk_index }
  const merge = { disk, base: 'some', into_base: file.base, below_bases: [], stored_bytes: 0, wait_seconds: 9 }
  expect(await code(real.agent.mergeFile({ ...merge, step: 'check' }))).toBe('IMMUTABLE_RETENTION_ACTIVE')
  const other = join(real.folder, 'other')
  mkdirSync(other)
  await real.agent.ensureRepository('other', other)
  const copy = (from: string, to: string, replace: boolean) =>
    real.agent.copyFile({
      file: { ...file, repository_id: from },
      to_repository_id: to,
      manifest_digest: null,
      replace,
      bytes_per_second: 0,
      wait_seconds: 30,
    })
  await copy('repo', 'other', false)
  const before = statSync(`${path}.qcow2`).ino
  await copy('other', 'repo', true)
  expect(statSync(`${path}.qcow2`).ino).not.toBe(before)
  for (const suffix of suffixes) expect(flags(path + suffix)).toContain('i')
  expect(readFileSync(`${path}.lock.json`, 'utf8')).toContain('until')
  await real.agent.deleteDiskFile({ ...file, repository_id: 'other' })
})

it('removes it once its date has passed', async () => {
  for (const until = performance.now() + 20_000 * slowness; performance.now() < until; await sleep(250))
    if ((await code(real.agent.deleteDiskFile(file))) === 'no error') break
  for (const suffix of [...suffixes, '.lock.json']) expect(() => statSync(path + suffix)).toThrow(/ENOENT/)
})
