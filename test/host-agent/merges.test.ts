/** A merge takes a restore point out of a chain; all others read bit by bit as before, whatever cuts it off. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MergeBody, MergeState } from '../../contract/agent.ts'
import { program } from '../../host-agent/exec.ts'
import { chainNode } from '../../host-agent/exports/qcow2.ts'
import { NbdClient } from '../../nbd/client.ts'
import { seeded } from '../support/damage.ts'
import { sh } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { sealRequest } from '../support/sealed-disk.ts'

const mib = 2 ** 20
/** No multiple of a cluster, nor of a checksum's block. */
const diskBytes = 37 * mib + 5 * 512
const place = { vm_backup_context_id: 'ctx-merged', disk_index: 0 }
const disk = { repository_id: 'repo', ...place }

let real: RealAgent
/** Of one chain, oldest first: what each point's disk holds. */
type Point = { base: string; content: Buffer; digest: string }
let number = 0
const folder = () => join(real.repositoryPath, 'ctx-merged/disk-0')

const write = async (before: readonly Point[], random: (below: number) => number): Promise<Point> => {
  const base = `point-${++number}`
  const port = real.firstPort + (number % 30)
  const content = Buffer.from(before.at(-1)?.content ?? Buffer.alloc(diskBytes))
  await real.agent.ensureExport(base, {
    kind: 'new',
    job_id: base,
    port,
    file: { ...disk, base },
    virtual_size_bytes: diskBytes,
    parent_bases: before.map((point) => point.base).toReversed(),
    shared_connections: 10,
  })
  const client = await NbdClient.connect({ host: '127.0.0.1', port, exportName: base })
  for (let piece = 0; piece < 12; piece++) {
    const length = 512 * (1 + random(600))
    const at = 512 * random((diskBytes - length) / 512)
    const data = random(3) === 0 ? Buffer.alloc(length) : randomBytes(length)
    if (data.every((byte) => byte === 0)) await client.writeZeroes(at, length)
    else await client.write(at, data)
    data.copy(content, at)
  }
  client.close()
  const request = sealRequest(base)
  const parent = before.at(-1)
  const state = await real.agent.sealExport(base, {
    ...request,
    manifest: {
      ...request.manifest,
      backup_type: parent ? 'incremental' : 'full',
      parent_backup_id: parent?.base ?? null,
    },
  })
  expect(state.status, state.error_message ?? '').toBe('sealed')
  await real.agent.dropExport(base, false)
  return { base, content, digest: state.manifest_digest! }
}
const chainOf = async (length: number, random: (below: number) => number) => {
  const points: Point[] = []
  for (let at = 0; at < length; at++) points.push(await write(points, random))
  return points
}
const merge = (
  points: readonly Point[],
  at: number,
  step: MergeBody['step'],
  more: Partial<MergeBody> = {},
): Promise<MergeState> =>
  real.agent.mergeFile({
    disk,
    base: points[at]!.base,
    into_base: points[at + 1]!.base,
    below_bases: points
      .slice(0, at)
      .map(({ base }) => base)
      .toReversed(),
    step,
    stored_bytes: 0,
    wait_seconds: 60,
    ...more,
  })
const verify = async (points: readonly Point[]) =>
  (
    await real.agent.verifyFile({
      chain: { ...disk, bases: points.map(({ base }) => base).toReversed() },
      manifest_digest: points.at(-1)!.digest,
      from_bytes: 0,
      bytes_per_second: 0,
      wait_seconds: 60,
    })
  ).damages
const contentOf = (points: readonly Point[]): Buffer => {
  const raw = join(real.folder, 'read-back.raw')
  const paths = points.map(({ base }) => join(folder(), `${base}.qcow2`)).toReversed()
  sh(program.qemuImg, ['convert', '-O', 'raw', '--', `json:${JSON.stringify(chainNode(paths, true))}`, raw])
  return readFileSync(raw).subarray(0, diskBytes)
}
/** Every point of the chain reads as it was written, its checksums say so, and stock tools find the chain by its headers. */
const expectWhole = async (points: readonly Point[]) => {
  for (const [at, point] of points.entries()) {
    const below = points.slice(0, at + 1)
    expect(contentOf(below).equals(point.content), point.base).toBe(true)
    expect(await verify(below), point.base).toEqual([])
  }
  const info = sh(program.qemuImg, [
    ...['info', '--output=json', '--backing-chain', '--'],
    join(folder(), `${points.at(-1)!.base}.qcow2`),
  ])
  expect(JSON.parse(info)).toHaveLength(points.length)
}
const remove = async (points: readonly Point[]) => {
  for (const { base } of points.toReversed()) await real.agent.deleteDiskFile({ ...disk, base })
  expect(existsSync(folder())).toBe(false)
}
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  )

beforeAll(async () => {
  real = await openRealAgent()
  mkdirSync(real.repositoryPath, { recursive: true })
  await real.agent.ensureRepository('repo', real.repositoryPath)
})
afterAll(() => real.close())

it('takes the full, a middle one and the next out of a chain', async () => {
  let points = await chainOf(5, seeded(1))
  await expectWhole(points)
  for (const at of [0, 1, 0, 0]) {
    expect(await merge(points, at, 'check')).toMatchObject({ status: 'done' })
    expect(await merge(points, at, 'prepare')).toMatchObject({ status: 'done' })
    // Until it is finished, what builds on it reads as before.
    expect(contentOf(points).equals(points.at(-1)!.content)).toBe(true)
    expect(contentOf(points.slice(0, at + 2)).equals(points[at + 1]!.content)).toBe(true)
    const { stored_bytes } = await merge(points, at, 'finish')
    expect(stored_bytes).toBeGreaterThan(mib)
    // The same call again finds it done.
    expect(await merge(points, at, 'finish')).toMatchObject({ status: 'done', stored_bytes })
    expect(await merge(points, at, 'prepare')).toMatchObject({ status: 'done' })
    points = points.filter((_, index) => index !== at)
    await expectWhole(points)
    expect(readdirSync(folder()).sort()).toEqual(
      points.flatMap(({ base }) => ['.blocks', '.manifest.json', '.qcow2'].map((suffix) => `${base}${suffix}`)).sort(),
    )
  }
  const manifest = JSON.parse(readFileSync(join(folder(), `${points[0]!.base}.manifest.json`), 'utf8'))
  expect(manifest).toMatchObject({
    backup_type: 'full',
    parent_file: null,
    parent_backup_id: null,
    parent_digest: null,
  })
  expect(manifest.origin_digest).toBe(points[0]!.digest)
  await remove(points)
})

it('goes on with a chain that was merged: increments build on it, copies and damage are found as before', async () => {
  let points = await chainOf(3, seeded(2))
  await merge(points, 0, 'prepare')
  await merge(points, 0, 'finish')
  points = [...points.slice(1)]
  points.push(await write(points, seeded(3)))
  await expectWhole(points)
  const other = join(real.folder, 'other')
  mkdirSync(other)
  await real.agent.ensureRepository('other', other)
  for (const { base, digest } of points) {
    const copied = await real.agent.copyFile({
      file: { ...disk, base },
      to_repository_id: 'other',
      manifest_digest: digest,
      replace: false,
      bytes_per_second: 0,
      wait_seconds: 60,
    })
    expect(copied.status).toBe('done')
  }
  // A bit of the merged file that the child had brought, and one of its parent's.
  const path = join(folder(), `${points[0]!.base}.qcow2`)
  const whole = readFileSync(path)
  for (const at of [whole.length - 70_000, Math.floor(whole.length / 2), 70_000]) {
    const damaged = Buffer.from(whole)
    damaged[at]! ^= 1
    rmSync(path)
    writeFileSync(path, damaged)
    expect((await verify([points[0]!])).length, `bit at ${at}`).toBeGreaterThan(0)
  }
  rmSync(path)
  writeFileSync(path, whole)
  await expectWhole(points)
  await remove(points)
  for (const { base } of points.toReversed()) await real.agent.deleteDiskFile({ ...disk, repository_id: 'other', base })
})

it('makes way for a mount and an export, and merges nothing that is in use or no parent and child', async () => {
  const points = await chainOf(3, seeded(4))
  expect(await code(merge(points, 0, 'check', { into_base: points[2]!.base }))).toBe('CHAIN_BROKEN')
  expect(await code(merge(points, 0, 'check', { base: points[1]!.base, into_base: points[0]!.base }))).toBe(
    'CHAIN_BROKEN',
  )
  expect(await code(merge(points, 0, 'finish'))).toBe('CHAIN_BROKEN')
  const next = real.agent.ensureExport('next', {
    kind: 'new',
    job_id: 'next',
    port: real.firstPort + 35,
    file: { ...disk, base: 'next' },
    virtual_size_bytes: diskBytes,
    parent_bases: points.map(({ base }) => base).toReversed(),
    shared_connections: 10,
  })
  const refused = await code(merge(points, 0, 'prepare'))
  await next
  expect(await code(merge(points, 0, 'prepare'))).toBe('CHAIN_IN_USE')
  // Whichever of the two came first.
  expect(['CHAIN_IN_USE', 'no error']).toContain(refused)
  await real.agent.dropExport('next', true)
  for (let at = 0; at < 5; at++) {
    const merging = code(merge(points, 0, 'prepare', { wait_seconds: 0 }))
    const opened = real.agent.ensureExport(`again-${at}`, {
      kind: 'new',
      job_id: 'again',
      port: real.firstPort + 30 + at,
      file: { ...disk, base: `again-${at}` },
      virtual_size_bytes: diskBytes,
      parent_bases: points.map(({ base }) => base).toReversed(),
      shared_connections: 10,
    })
    expect(await code(opened)).toBe('no error')
    expect(['CHAIN_IN_USE', 'no error']).toContain(await merging)
    await real.agent.dropExport(`again-${at}`, true)
    expect(contentOf(points).equals(points[2]!.content)).toBe(true)
  }
  await merge(points, 0, 'prepare')
  await merge(points, 0, 'finish')
  await expectWhole(points.slice(1))
  await remove(points.slice(1))
})

it('is cut off by the death of the agent at any time, and goes on', async () => {
  const random = seeded(5)
  let points = await chainOf(4, random)
  for (let trial = 0; trial < 12; trial++) {
    const at = trial % 2
    const work = (async () => {
      await merge(points, at, 'prepare')
      await merge(points, at, 'finish')
    })().catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, random(120)))
    await real.killAndRestart()
    await work
    await merge(points, at, 'prepare')
    await merge(points, at, 'finish')
    points = points.filter((_, index) => index !== at)
    await expectWhole(points)
    points.push(await write(points, random))
  }
  await remove(points)
})

it('leaves nothing of a merge behind when its files are deleted', async () => {
  const points = await chainOf(2, seeded(6))
  await merge(points, 0, 'prepare')
  expect(existsSync(join(folder(), `${points[1]!.base}.merge.json`))).toBe(true)
  await remove(points)
})
