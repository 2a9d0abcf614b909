/**
 * The matrix of guests' disks: each is made twice, backed up, opened both times at once, and every file compared with what was written. With SENDENSE_MATRIX
 * set to a file, the table is written there; docs/volumes.md is made so.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { DiskChain, MountState } from '../../contract/agent.ts'
import { waitFor } from '../../runtime/service.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'
import { differences, treeThrough } from '../support/tree.ts'
import { cases } from './cases.ts'
import { isKnown, type Machine, Workshop } from './workshop.ts'

let real: RealAgent
let before: Census
let workshop: string
const rows: string[] = []
beforeAll(async () => {
  // FAT and discs are what no driver reads; under the lab's emulated processor its own kernel does.
  const isLab = process.env.SENDENSE_TEST_ATTACH_BACKEND === 'kernel-nbd'
  real = await openRealAgent({ machineMounts: isLab ? [] : ['vfat', 'exfat', 'iso9660', 'udf'] })
  // How one is run is told by its command line, and found out with the first.
  if (!isLab) await waitFor('a throw-away machine', async () => (await real.agent.health()).machines !== null, 90_000)
  workshop = join(real.folder, 'workshop')
  before = await census()
})
afterEach(async () => {
  for (const { mount_id } of (await real.agent.listMounts()).mounts) await real.agent.removeMount(mount_id, 'user')
  for (const folder of [workshop, ...contexts()]) rmSync(folder, { recursive: true, force: true })
  expect(await leftBehind(before)).toEqual([])
})
afterAll(async () => {
  await real.close()
  const table = [
    '| Disks | Volumes | Files | Read by | Equal |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `${rows.length} kinds of disks`,
  ].join('\n')
  process.stdout.write(`${table}\n`)
  if (process.env.SENDENSE_MATRIX) writeFileSync(process.env.SENDENSE_MATRIX, `${table}\n`)
})

const contexts = () =>
  readdirSync(real.repositoryPath)
    .filter((name) => name.startsWith('ctx-'))
    .map((name) => join(real.repositoryPath, name))
const checksums = () =>
  readdirSync(real.repositoryPath, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
    .map((path) => `${path} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`)

const backedUp = async ({ disks }: Machine): Promise<DiskChain[]> => {
  const chains: DiskChain[] = []
  for (const disk of disks) chains.push(await sealedDisk(real, disk))
  return chains
}
const mount = (chains: DiskChain[], secrets: string[] = []): Promise<MountState> =>
  real.agent.ensureMount(randomUUID(), {
    ...mountOf(...chains),
    secrets: secrets.map((secret) => Buffer.from(secret).toString('base64')),
  })

/** At once. */
const bothOf = <T, R>(both: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> => Promise.all(both.map(work))

/** What this kernel can not make is made by the lab's. */
const possible = cases.filter(({ needs }) => needs.every(isKnown))

it.each(possible)('$name', async ({ name, make }) => {
  mkdirSync(workshop)
  const shop = new Workshop(workshop)
  const machines = [make(shop), make(shop)]
  const points: [Machine, DiskChain[]][] = await bothOf(machines, async (machine) => [machine, await backedUp(machine)])
  const sums = checksums()
  const mounts = await bothOf(points, async ([machine, chains]) => ({
    machine,
    ...(await mount(chains, machine.secrets)),
  }))
  const readers = new Set<string>()
  let files = 0
  await bothOf(mounts, async ({ machine: { volumes }, mount_id, partitions }) => {
    for (const { is, tree } of volumes) {
      const found = partitions.filter(is)
      expect(found, JSON.stringify(partitions)).toEqual([expect.objectContaining({ mounted: true, reason: null })])
      readers.add(found[0]!.reader!)
      files += tree.size
      expect(differences(tree, await treeThrough(real, mount_id, found[0]!.number))).toEqual([])
    }
  })
  for (const { mount_id } of mounts) await real.agent.removeMount(mount_id, 'user')
  expect(checksums()).toEqual(sums)
  rows.push(`| ${name} | ${machines[0]!.volumes.length} | ${files} | ${[...readers].join(', ')} | yes |`)
})
