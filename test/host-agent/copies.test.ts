/** A copy is the same file, bit by bit, in another repository; whatever cuts it off, it is whole or it is not there. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { CopyState, DiskFile } from '../../contract/agent.ts'
import { program } from '../../host-agent/exec.ts'
import { NbdClient } from '../../nbd/client.ts'
import { seeded, whileDamaged } from '../support/damage.ts'
import { sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { sealRequest } from '../support/sealed-disk.ts'

const mib = 2 ** 20
const bases = ['increment', 'full']
const place = { vm_backup_context_id: 'ctx-copied', disk_index: 0 }
const suffixes = ['.qcow2', '.blocks', '.manifest.json']

let real: RealAgent
const digests: Record<string, string> = {}
const root = (repository: string) => (repository === 'repo' ? real.repositoryPath : join(real.folder, repository))
const folderIn = (repository: string) => join(root(repository), 'ctx-copied/disk-0')
const fileIn = (repository: string, base: string): DiskFile => ({ repository_id: repository, ...place, base })
const copy = (from: string, to: string, base: string, more: object = {}): Promise<CopyState> =>
  real.agent.copyFile({
    file: fileIn(from, base),
    to_repository_id: to,
    manifest_digest: digests[base] ?? null,
    replace: false,
    bytes_per_second: 0,
    wait_seconds: 60,
    ...more,
  })
const verify = (repository: string, base: string) =>
  real.agent.verifyFile({
    chain: { repository_id: repository, ...place, bases: bases.slice(bases.indexOf(base)) },
    manifest_digest: digests[base]!,
    from_bytes: 0,
    bytes_per_second: 0,
    wait_seconds: 60,
  })
const write = async (
  base: string,
  parents: string[],
  sizeBytes: number,
  fill: (client: NbdClient) => Promise<void>,
) => {
  const port = real.firstPort + parents.length
  await real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port,
    file: fileIn('repo', base),
    virtual_size_bytes: sizeBytes,
    parent_bases: parents,
    shared_connections: 10,
  })
  const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
  await fill(client)
  client.close()
  const state = await real.agent.sealExport(base, sealRequest(base))
  expect(state.status, state.error_message ?? '').toBe('sealed')
  digests[base] = state.manifest_digest!
  await real.agent.dropExport(base, false)
}
const repository = async (name: string) => {
  mkdirSync(root(name), { recursive: true })
  await real.agent.ensureRepository(name, root(name))
}
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  )

beforeAll(async () => {
  real = await openRealAgent()
  await repository('repo')
  await repository('second')
  await write('full', [], 64 * mib, async (client) => {
    for (let at = 0; at < 20; at += 3) await client.write(at * mib, randomBytes(mib))
  })
  await write('increment', ['full'], 64 * mib, (client) => client.write(5 * mib, randomBytes(300_000)))
})
afterAll(() => real.close())

it('copies a chain, file by file, that stock qemu-img opens where it lies', async () => {
  for (const base of bases.toReversed()) {
    const state = await copy('repo', 'second', base)
    const { size } = statSync(join(folderIn('repo'), `${base}.qcow2`))
    expect(state).toEqual({ status: 'done', done_bytes: size, total_bytes: size })
  }
  for (const name of readdirSync(folderIn('repo'))) {
    const [own, copied] = [join(folderIn('repo'), name), join(folderIn('second'), name)]
    expect(readFileSync(copied).equals(readFileSync(own)), name).toBe(true)
    expect(statSync(copied).mode & 0o777).toBe(statSync(own).mode & 0o777)
  }
  expect(readdirSync(folderIn('second')).sort()).toEqual(
    bases.flatMap((base) => suffixes.map((suffix) => `${base}${suffix}`)).sort(),
  )
  expect(readdirSync(join(root('second'), 'ctx-copied')).sort()).toEqual(['context.json', 'disk-0'])
  sh(program.qemuImg, [
    'compare',
    join(folderIn('repo'), 'increment.qcow2'),
    join(folderIn('second'), 'increment.qcow2'),
  ])
  for (const base of bases) expect((await verify('second', base)).damages).toEqual([])
  expect(await copy('repo', 'second', 'full')).toMatchObject({ status: 'done' })
})
it('copies nothing that is not what was sealed', async () => {
  await repository('third')
  const random = seeded(7)
  for (let trial = 0; trial < 12; trial++) {
    const suffix = suffixes[1 + (trial % 2)]!
    const [own, foreign] = bases.toReversed().map((base) => join(folderIn('repo'), `${base}${suffix}`))
    await whileDamaged(own!, foreign!, random, async () => {
      expect(await code(copy('repo', 'third', 'full'))).toBe('CHAIN_BROKEN')
    })
  }
  expect(await code(copy('repo', 'third', 'full', { manifest_digest: 'f'.repeat(64) }))).toBe('CHAIN_BROKEN')
  expect(await code(copy('repo', 'third', 'never', { manifest_digest: null }))).toBe('CHAIN_BROKEN')
  expect(await code(copy('repo', 'none', 'full'))).toBe('REPOSITORY_NOT_FOUND')
  await real.agent.deleteDiskFile(fileIn('third', 'full'))
  await real.agent.deleteDiskFile(fileIn('third', 'never'))
  expect(readdirSync(root('third'))).toEqual(['sendense-repository.json'])
})
it('writes a damaged file anew from its copy', async () => {
  const damaged = join(folderIn('repo'), 'full.qcow2')
  const whole = readFileSync(damaged)
  sh('/usr/bin/chmod', ['u+w', damaged])
  writeFileSync(damaged, randomBytes(5000), { flag: 'r+' })
  expect((await verify('repo', 'full')).damages).not.toEqual([])
  await copy('second', 'repo', 'full')
  expect((await verify('repo', 'full')).damages).not.toEqual([])
  await copy('second', 'repo', 'full', { replace: true })
  expect((await verify('repo', 'full')).damages).toEqual([])
  expect(readFileSync(damaged).equals(whole)).toBe(true)
})
it('fails on a disk that is full, and leaves nothing', async () => {
  const small = join(real.folder, 'small')
  mkdirSync(small)
  sh('/usr/bin/mount', ['-t', 'tmpfs', '-o', `size=${4 * mib}`, 'small', small])
  try {
    await repository('small')
    expect(await code(copy('repo', 'small', 'full'))).toBe('INSUFFICIENT_STORAGE')
    await real.agent.deleteDiskFile(fileIn('small', 'full'))
    expect(readdirSync(small)).toEqual(['sendense-repository.json'])
    await real.agent.forgetRepository('small')
  } finally {
    sh('/usr/bin/umount', [small])
    rmdirSync(small)
  }
})
it('goes on where it was cut off, behind what had come to the disk', async () => {
  const sizeBytes = 320 * mib
  await write('large', [], sizeBytes, async (client) => {
    const data = randomBytes(16 * mib)
    for (let at = 0; at < sizeBytes; at += data.length) await client.write(at, data)
  })
  const slowly = { bytes_per_second: 100 * mib, wait_seconds: 0.05 }
  // The flush goes on beside the copy: what the ledger says of it is on the disk.
  const copies = join(real.folder, 'state/ledger/copies')
  const isNoted = () =>
    readdirSync(copies).some((name) => readFileSync(join(copies, name), 'utf8').includes(`${256 * mib}`))
  await vi.waitFor(
    async () => {
      await copy('repo', 'second', 'large', slowly)
      expect(isNoted()).toBe(true)
    },
    { timeout: 60_000, interval: 50 },
  )
  await real.killAndRestart()
  expect((await real.agent.inspectChain({ ...fileIn('second', 'large'), bases: ['large'] }))[0]).toMatchObject({
    exists: false,
    sealed: false,
  })
  const states: number[] = []
  await vi.waitFor(
    async () => {
      const { status, done_bytes } = await copy('repo', 'second', 'large', { wait_seconds: 0.01 })
      if (done_bytes > 0) states.push(done_bytes)
      expect(status).toBe('done')
    },
    { timeout: 60_000, interval: 1 },
  )
  expect(Math.min(...states)).toBeGreaterThanOrEqual(256 * mib)
  expect(
    readFileSync(join(folderIn('second'), 'large.qcow2')).equals(readFileSync(join(folderIn('repo'), 'large.qcow2'))),
  ).toBe(true)
})
it('begins anew when what it had written is gone', async () => {
  await real.agent.deleteDiskFile(fileIn('second', 'large'))
  const slowly = { bytes_per_second: 20 * mib, wait_seconds: 0.3 }
  expect((await copy('repo', 'second', 'large', slowly)).status).toBe('running')
  await real.killAndRestart()
  await real.agent.deleteDiskFile(fileIn('second', 'large'))
  expect(readdirSync(folderIn('second')).filter((name) => name.startsWith('large'))).toEqual([])
  expect((await copy('repo', 'second', 'large')).status).toBe('done')
  expect((await real.agent.stopCopy(fileIn('second', 'large'))) ?? {}).toEqual({})
})
