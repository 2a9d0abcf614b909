/** What the agent answers to requests that no hub makes. */
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { MountBody } from '../../contract/agent.ts'
import { errorFromBody } from '../../contract/errors.ts'
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

const walked = (walk: unknown) => () => Buffer.from(JSON.stringify({ ...asked, walk }))
const walk = { vm_backup_context_id: 'ctx', at: 2, since: 1 }

it.each([
  ['no JSON', () => Buffer.from('{'), 'INVALID_JSON'],
  ['nothing', () => Buffer.alloc(0), 'INVALID_JSON'],
  ['bytes behind it', () => Buffer.concat([messageOf(asked), Buffer.alloc(3)]), 'VALIDATION_FAILED'],
  ['a machine that is a path', walked({ ...walk, vm_backup_context_id: '../mounts' }), 'VALIDATION_FAILED'],
  ['a negative time', walked({ ...walk, since: -1 }), 'VALIDATION_FAILED'],
  ['part of a time', walked({ ...walk, at: 0.5 }), 'VALIDATION_FAILED'],
  ['no time', walked({ ...walk, at: null }), 'VALIDATION_FAILED'],
])('an index is refused for %s', async (_, body, code) => {
  expect(await refusal('/index', body())).toBe(code)
  expect((await real.agent.health()).mounts).toBe(0)
})

it.each([
  ['/index', 2 * 1024 ** 2],
  ['/verifications', 2 * 1024 ** 2],
])('%s takes no endless body', async (path, bytes) => {
  expect([undefined, 'BODY_TOO_LARGE']).toContain(await refusal(path, Buffer.alloc(bytes, 0x20)))
  expect((await real.agent.health()).mounts).toBe(0)
})
