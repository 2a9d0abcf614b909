/** What the agent answers to requests that no hub makes. */
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { MountBody } from '../../contract/agent.ts'
import { errorFromBody } from '../../contract/errors.ts'
import { fingerprintsBytesMax } from '../../contract/index-slices.ts'
import { messageOf } from '../../contract/json-and-bytes.ts'
import { type Census, census, leftBehind } from '../support/census.ts'
import { filesystemImage } from '../support/images.ts'
import { openRealAgent, type RealAgent } from '../support/real-agent.ts'
import { mountOf, sealedDisk } from '../support/sealed-disk.ts'

let real: RealAgent
let before: Census
let asked: MountBody
beforeAll(async () => {
  real = await openRealAgent()
  const image = join(real.folder, 'image.raw')
  filesystemImage(image, 'ext4', 64 << 20, () => undefined)
  asked = mountOf(await sealedDisk(real, image))
  before = await census()
})
afterEach(async () => expect(await leftBehind(before)).toEqual([]))
afterAll(() => real.close())

/** A restore point, and behind it what is known of its volumes. */
const message = (body: unknown, known: unknown, bytes: Buffer[] = []) =>
  Buffer.concat([...messageOf(body), ...messageOf(known, bytes)])
/** @returns the code of the error, or none where the agent has cut the connection or its answer */
const refusal = (path: string, body: Buffer): Promise<string | undefined> =>
  new Promise((resolve) => {
    const where = { socketPath: join(real.folder, 'agent.sock'), path, method: 'POST', agent: false } as const
    const sent = request(where, (response) =>
      text(response).then(
        (said) => resolve(errorFromBody(JSON.parse(said))?.code),
        () => resolve(undefined),
      ),
    )
    sent.on('error', () => resolve(undefined))
    sent.end(body)
  })

const volume = (bytes: unknown) => ({ volume: 'disk 0 partition 0', bytes })

it.each([
  ['no JSON', () => Buffer.from('{'), 'INVALID_JSON'],
  ['nothing', () => Buffer.alloc(0), 'INVALID_JSON'],
  ['a restore point alone', () => Buffer.concat(messageOf(asked)), 'INVALID_JSON'],
  ['a negative number of bytes', () => message(asked, [volume(-1), volume(4)], [Buffer.alloc(3)]), 'VALIDATION_FAILED'],
  ['part of a byte', () => message(asked, [volume(0.5)], []), 'VALIDATION_FAILED'],
  ['text instead of a number', () => message(asked, [volume('3')], [Buffer.alloc(3)]), 'VALIDATION_FAILED'],
])('an index is refused for %s', async (_, body, code) => {
  expect(await refusal('/index', body())).toBe(code)
})

it.each([
  ['bytes that nobody speaks of', () => message(asked, [], [Buffer.alloc(3)])],
  ['fewer bytes than it says', () => message(asked, [volume(4)], [Buffer.alloc(3)])],
  ['more bytes than it says', () => message(asked, [volume(2)], [Buffer.alloc(3)])],
  [
    'fewer bytes of a volume that is not there',
    () => message(asked, [{ volume: 'vg/none', bytes: 4 }], [Buffer.alloc(3)]),
  ],
])('an index that has been begun is cut for %s', async (_, body) => {
  expect(await refusal('/index', body())).toBeUndefined()
  await expect.poll(async () => (await real.agent.health()).mounts).toBe(0)
})

it('one that says what it has is asked for', async () => {
  const chain = { ...asked.disks[0]!, bases: ['gone'] }
  const body = message({ ...asked, disks: [chain] }, [volume(2), volume(1)], [Buffer.alloc(3)])
  expect(await refusal('/index', body)).toBe('CHAIN_BROKEN')
})

it('what is known can not be had: that is why there is no index', async () => {
  const why = new Error('the database does not answer')
  await expect(real.agent.readIndex(asked, Promise.reject(why))).rejects.toBe(why)
  await expect(
    real.agent.readIndex(
      asked,
      sleep(300).then(() => Promise.reject(why)),
    ),
  ).rejects.toBe(why)
  // The agent hears of it a moment later.
  await expect.poll(async () => (await real.agent.health()).mounts).toBe(0)
})

it.each([
  ['/index', fingerprintsBytesMax + 2 * 1024 ** 2],
  ['/verifications', 2 * 1024 ** 2],
])('%s takes no endless body', async (path, bytes) => {
  expect([undefined, 'BODY_TOO_LARGE']).toContain(await refusal(path, Buffer.alloc(bytes, 0x20)))
  expect((await real.agent.health()).mounts).toBe(0)
})
