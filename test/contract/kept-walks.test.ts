/** What is kept of walks, and what a reader that was taken over can do to it. */
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { fingerprintsBytesMax } from '../../host-agent/files/fingerprints.ts'
import type { VolumeReader } from '../../host-agent/files/volume-reader.ts'
import { KeptWalks } from '../../host-agent/mounts/kept-walks.ts'

let folder: string
let walks: KeptWalks
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'sendense-walks-')), 'walks')
  walks = new KeptWalks(folder)
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }))

const machine = (at: number, since: number | null = null, name = 'ctx-web') => ({
  vm_backup_context_id: name,
  at,
  since,
})
/** @param chunks what it tells, one after the other */
const telling = (...chunks: (Buffer | Error)[]) =>
  ({
    fingerprints: async () => async (target) => {
      for (const chunk of chunks) {
        if (chunk instanceof Error) throw chunk
        await new Promise<void>((resolve, reject) =>
          target.write(chunk, (error) => (error ? reject(error) : resolve())),
        )
      }
    },
  }) as Pick<VolumeReader, 'fingerprints'> as VolumeReader
const knownOf = async (since: number, volume = 'vg/root', name?: string) => {
  const { bytes, chunks } = await walks.known(machine(since + 1, since, name), volume)
  const known = await buffer(chunks)
  expect(known.length).toBe(bytes)
  return known.toString()
}
const names = (name = 'ctx-web') => readdirSync(join(folder, name)).toSorted()

it('a walk is known by its volumes, and what was not kept is nothing', async () => {
  await walks.keep(machine(1), new Map([['vg/root', telling(Buffer.from('of '), Buffer.from('root'))]]))
  expect(await knownOf(1)).toBe('of root')
  expect([await knownOf(2), await knownOf(1, '../vg/root'), await knownOf(1, 'vg/root', 'ctx-other')]).toEqual([
    '',
    '',
    '',
  ])
  expect((await walks.known(null, 'vg/root')).bytes).toBe(0)
  expect((await walks.known(machine(2), 'vg/root')).bytes).toBe(0)
})

it('of a machine the last walk stays, and the one that it was told by', async () => {
  for (const [at, since] of [
    [1, null],
    [10, 1],
    [100, 10],
  ] as const)
    await walks.keep(machine(at, since), new Map([['disk', telling(Buffer.from(`of ${at}`))]]))
  expect([await knownOf(1, 'disk'), await knownOf(10, 'disk'), await knownOf(100, 'disk')]).toEqual([
    '',
    'of 10',
    'of 100',
  ])
})

it('whoever asks for a walk that is being kept waits for it', async () => {
  let go = () => {}
  const slow = telling(Buffer.from('late'))
  const waiting = new Promise<void>((resolve) => {
    go = resolve
  })
  const kept = walks.keep(
    machine(1),
    new Map([['disk', { ...slow, fingerprints: () => waiting.then(slow.fingerprints) }]]),
  )
  const known = knownOf(1, 'disk')
  go()
  expect(await known).toBe('late')
  await kept
})

it.each([
  ['tells more than a volume can have', () => [Buffer.alloc(fingerprintsBytesMax), Buffer.alloc(1)]],
  ['ends in the middle', () => [Buffer.from('some'), new Error('the reader has ended')]],
])('of one that %s nothing is kept', async (_, chunks) => {
  await walks.keep(machine(1), new Map([['disk', telling(Buffer.from('before'))]]))
  await walks.keep(machine(2, 1), new Map([['disk', telling(...chunks())]]))
  expect([await knownOf(1, 'disk'), await knownOf(2, 'disk')]).toEqual(['before', ''])
  expect(names().length).toBe(1)
})

it('a machine that nobody walks through any more is forgotten after 90 days', async () => {
  for (const name of ['ctx-gone', 'ctx-there']) await walks.keep(machine(1, null, name), new Map([['disk', telling()]]))
  const before = (days: number) => new Date(Date.now() - days * 86_400_000)
  utimesSync(join(folder, 'ctx-gone'), before(91), before(91))
  utimesSync(join(folder, 'ctx-there'), before(89), before(89))
  await walks.keep(machine(1), new Map())
  expect([existsSync(join(folder, 'ctx-gone')), names('ctx-there').length]).toEqual([false, 1])
})
