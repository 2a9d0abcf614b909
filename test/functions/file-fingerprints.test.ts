/** What a walk has told is what the next one is given, byte by byte, however it is cut into rows. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { IndexedFolder } from '../../contract/agent.ts'
import { findBackup } from '../../db/queries/backups.ts'
import { FingerprintWriter, forgetFingerprints, knownFingerprints } from '../../db/queries/file-fingerprints.ts'
import { ensureVolume } from '../../db/queries/file-index.ts'
import { FileIndexWriter } from '../../db/queries/file-index-writer.ts'
import { type Alone, openAlone, readyVm } from '../support/alone.ts'
import { seeded } from '../support/damage.ts'
import { finishBackups } from '../support/flows.ts'

let alone: Alone
beforeAll(async () => {
  alone = await openAlone()
})
afterAll(() => alone.close())

/** Of a machine that has a restore point. */
const contextOf = async (name: string): Promise<string> => {
  const { vmName, repositoryId } = await readyVm(alone, { name })
  const asked = { vm_name: vmName, repository_id: repositoryId, backup_type: 'full' }
  const { body } = await alone.call('POST', '/backups', asked)
  await finishBackups(alone)
  return (await findBackup(alone.db.orm, body.backup_id))!.job.vmBackupContextId
}
const mebibyte = 1024 ** 2
/** Of odd sizes, up to more than a row. */
const partsOf = (bytes: number, seed: number): Buffer[] => {
  const random = seeded(seed)
  const parts: Buffer[] = []
  for (let rest = bytes; rest > 0; ) {
    const size = Math.min(rest, random(10) === 0 ? 1 + random(2 * mebibyte) : 1 + random(50_000))
    parts.push(randomBytes(size))
    rest -= size
  }
  return parts
}
const keep = async (at: number, told: readonly [volumeId: number, part: Buffer][], bytesMax?: number) => {
  const writer = new FingerprintWriter(alone.db.pool, at, bytesMax)
  for (const [volumeId, part] of told) await writer.add(volumeId, part)
  await writer.end()
}
const known = async (contextId: string, at: number): Promise<Record<string, Buffer>> => {
  const volumes = await knownFingerprints(alone.db.pool, contextId, at)
  return Object.fromEntries(volumes.map(({ volume, fingerprints }) => [volume, fingerprints]))
}
const isSame = (a: Buffer | undefined, b: readonly Buffer[]) => a?.equals(Buffer.concat(b)) ?? false

it('gives back all of each volume, those that are told of in turn as well', async () => {
  const contextId = await contextOf('many-rows')
  const [one, two] = [
    await ensureVolume(alone.db.orm, contextId, 'one'),
    await ensureVolume(alone.db.orm, contextId, 'two'),
  ]
  const [first, second] = [partsOf(5 * mebibyte + 17, 1), partsOf(2 * mebibyte, 2)]
  const whole = [Buffer.alloc(mebibyte, 1), Buffer.alloc(mebibyte, 2)]
  await keep(1000, [
    ...first.map((part): [number, Buffer] => [one, part]),
    ...second.map((part): [number, Buffer] => [two, part]),
    ...whole.map((part): [number, Buffer] => [one, part]),
  ])
  const all = await known(contextId, 1000)
  expect(Object.keys(all)).toEqual(['one', 'two'])
  expect(isSame(all.one, [...first, ...whole])).toBe(true)
  expect(isSame(all.two, second)).toBe(true)
})

it('keeps those of walks apart, and forgets all but one, of one machine', async () => {
  const [contextId, other] = [await contextOf('two-walks'), await contextOf('another')]
  const volumeId = await ensureVolume(alone.db.orm, contextId, 'disk')
  const otherId = await ensureVolume(alone.db.orm, other, 'disk')
  const parts = [1, 2, 3].map((seed) => partsOf(100_000, seed))
  await keep(
    1000,
    parts[0]!.map((part) => [volumeId, part]),
  )
  await keep(
    2000,
    parts[1]!.map((part) => [volumeId, part]),
  )
  await keep(
    1000,
    parts[2]!.map((part) => [otherId, part]),
  )
  expect(isSame((await known(contextId, 1000)).disk, parts[0]!)).toBe(true)
  expect(isSame((await known(contextId, 2000)).disk, parts[1]!)).toBe(true)
  await forgetFingerprints(alone.db.pool, contextId, 2000)
  expect(await known(contextId, 1000)).toEqual({})
  expect(isSame((await known(contextId, 2000)).disk, parts[1]!)).toBe(true)
  await forgetFingerprints(alone.db.pool, contextId, undefined)
  expect(await known(contextId, 2000)).toEqual({})
  expect(isSame((await known(other, 1000)).disk, parts[2]!)).toBe(true)
})

it('leaves out what there is no room for', async () => {
  const contextId = await contextOf('too-many')
  const volumeId = await ensureVolume(alone.db.orm, contextId, 'disk')
  const [large, small] = [Buffer.alloc(2 * mebibyte - 10, 7), Buffer.alloc(10, 8)]
  const told = [large, Buffer.alloc(11, 9), small, small]
  await keep(
    1000,
    told.map((part) => [volumeId, part]),
    2 * mebibyte,
  )
  expect(isSame((await known(contextId, 1000)).disk, [large, small])).toBe(true)
})

it('a walk that was cut off leaves nothing to the next, which is given what was known before', async () => {
  const contextId = await contextOf('cut-off')
  const volumeId = await ensureVolume(alone.db.orm, contextId, 'disk')
  const [before, now] = [Buffer.from('before'), Buffer.from('now')]
  await keep(1000, [[volumeId, before]])
  await keep(2000, [[volumeId, Buffer.from('what the one that was cut off had told')]])
  const writer = await FileIndexWriter.open(alone.db, contextId, 2000, [1000])
  expect((await writer.known).map(({ fingerprints }) => fingerprints)).toEqual([before])
  const whole = { folder: '', bits: 0, from: 0, to: 1, same: null, entries: [], unnamed: [] }
  await writer.add(volumeId, { ...whole, fingerprints: now.toString('base64') } satisfies IndexedFolder)
  await writer.commit(async () => undefined)
  await writer.close()
  expect(await known(contextId, 1000)).toEqual({})
  expect(await known(contextId, 2000)).toEqual({ disk: now })
})

it('says when they can not be written', async () => {
  const writer = new FingerprintWriter(alone.db.pool, 1000)
  await writer.add(2 ** 30, Buffer.alloc(10))
  await expect(writer.end()).rejects.toThrow(/foreign key/)
  await writer.settle()
})
