/** Every change to a sealed file is found and named, and none is found where there is none. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DiskChain, VerifyState } from '../../contract/agent.ts'
import { NbdClient } from '../../nbd/client.ts'
import { seeded, whileDamaged } from '../support/damage.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { sealRequest } from '../support/sealed-disk.ts'

const mib = 2 ** 20
/** No multiple of a cluster or a block. */
const diskBytes = 13 * mib + 512
const bases = ['third', 'second', 'first']
const trials = Number(process.env.SENDENSE_TEST_DAMAGES ?? 150)
const seed = Number(process.env.SENDENSE_TEST_SEED ?? 20_261_121)

let real: RealAgent
let digests: Record<string, string>

const place = { repository_id: 'repo', vm_backup_context_id: 'ctx-verify', disk_index: 0 }
const chainOf = (base: string): DiskChain => ({ ...place, bases: bases.slice(bases.indexOf(base)) })
const folder = () => join(real.repositoryPath, 'ctx-verify/disk-0')
const verify = (base: string, more: object = {}): Promise<VerifyState> =>
  real.agent.verifyFile({
    chain: chainOf(base),
    manifest_digest: digests[base] ?? null,
    from_bytes: 0,
    bytes_per_second: 0,
    wait_seconds: 30,
    ...more,
  })

beforeAll(async () => {
  real = await openRealAgent()
  await real.agent.ensureRepository('repo', real.repositoryPath)
  digests = {}
  for (const [at, base] of bases.toReversed().entries()) {
    await real.agent.ensureExport(base, {
      kind: 'new',
      job_id: base,
      port: real.firstPort + at,
      file: { ...place, base },
      virtual_size_bytes: diskBytes,
      parent_bases: chainOf(base).bases.slice(1),
      shared_connections: 10,
    })
    const client = await NbdClient.connect({ host: '127.0.0.1', port: real.firstPort + at, exportName: base })
    if (at === 0) for (let offset = 0; offset < 9; offset += 2) await client.write(offset * mib, randomBytes(mib))
    else await client.write(at * 5 * mib - 4096, randomBytes(200_000))
    await client.writeZeroes((at + 1) * mib, 100_000)
    await client.write(diskBytes - 512, randomBytes(512))
    client.close()
    const state = await real.agent.sealExport(base, sealRequest(base))
    expect(state.status).toBe('sealed')
    digests[base] = state.manifest_digest!
    await real.agent.dropExport(base, false)
  }
})
afterAll(() => real.close())

it('finds nothing wrong with what is as it was sealed, from wherever it begins', async () => {
  for (const base of bases) {
    expect(await verify(base)).toEqual({ status: 'done', done_bytes: diskBytes, total_bytes: diskBytes, damages: [] })
    expect((await verify(base, { from_bytes: 8 * mib })).damages).toEqual([])
    expect((await verify(base, { manifest_digest: null })).damages).toEqual([])
  }
})

it(`finds each of ${trials} random damages (seed ${seed}) and names the file`, async () => {
  const random = seeded(seed)
  const missed: string[] = []
  let fired = 0
  while (fired < trials) {
    const base = bases[random(3)]!
    const suffix = ['.qcow2', '.qcow2', '.blocks', '.manifest.json'][random(4)]!
    const other = bases[(bases.indexOf(base) + 1 + random(2)) % 3]!
    const name = `${base}${suffix}`
    const done = await whileDamaged(join(folder(), name), join(folder(), `${other}${suffix}`), random, async (what) => {
      const { damages } = await verify(base)
      if (!damages.some(({ file }) => file === name)) missed.push(`${name}: ${what}`)
    })
    if (done) fired++
  }
  expect(missed).toEqual([])
  for (const base of bases) expect((await verify(base)).damages).toEqual([])
})

it('says where in the guest disk the data is wrong', async () => {
  const path = join(folder(), 'first.qcow2')
  // The first data cluster lies behind header, refcounts and tables.
  const flipAt = (offset: number) => (below: number) => (below === 8 ? 0 : offset * 8)
  await whileDamaged(path, path, flipAt(5 * 65_536 + 100), async () => {
    const { damages } = await verify('first')
    expect(damages).toEqual([
      expect.objectContaining({
        file: 'first.qcow2',
        kind: 'data',
        length_bytes: 4 * mib,
        detail: 'the data does not match its checksum',
      }),
    ])
    expect(damages[0]!.offset_bytes! % (4 * mib)).toBe(0)
  })
})

it('finds files that are gone, and ones that are whole but of another backup', async () => {
  for (const suffix of ['.qcow2', '.blocks', '.manifest.json']) {
    const path = join(folder(), `second${suffix}`)
    renameSync(path, `${path}.away`)
    expect((await verify('second')).damages).toContainEqual(
      expect.objectContaining({ file: `second${suffix}`, kind: 'missing' }),
    )
    renameSync(`${path}.away`, path)
  }
  expect((await verify('second', { manifest_digest: 'a'.repeat(64) })).damages).toContainEqual(
    expect.objectContaining({ file: 'second.manifest.json', kind: 'manifest' }),
  )
})

it('keeps to its bandwidth, says how far it is, can be stopped and goes on from there', async () => {
  const slow = { bytes_per_second: 8 * mib, wait_seconds: 0 }
  expect(await verify('first', slow)).toMatchObject({ status: 'running' })
  const began = performance.now()
  expect(await verify('first', { ...slow, wait_seconds: 30 })).toMatchObject({ status: 'done', damages: [] })
  expect(performance.now() - began).toBeGreaterThan(500)
  await verify('first', slow)
  await real.agent.stopVerify({ ...place, base: 'first' })
  await real.agent.stopVerify({ ...place, base: 'first' })
  expect(await verify('first', { from_bytes: 12 * mib })).toMatchObject({ status: 'done', done_bytes: diskBytes })
})

it('refuses a repository that it does not know', async () => {
  mkdirSync(join(real.folder, 'nowhere'))
  writeFileSync(join(real.folder, 'nowhere/first.qcow2'), '')
  const chain = { ...chainOf('first'), repository_id: 'unknown' }
  await expect(verify('first', { chain })).rejects.toMatchObject({ code: 'REPOSITORY_NOT_FOUND' })
  rmSync(join(real.folder, 'nowhere'), { recursive: true })
})
