/** The hub's side of the socket, before an agent that refuses early, or dies: the hub hears why, and lives. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AgentApi, DigestBody, VerifyBody } from '../../contract/agent.ts'
import type { HubError } from '../../contract/errors.ts'
import { openAgentClient } from '../../runtime/bindings/agent.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
let folder: string
let server: Server
let client: ReturnType<typeof openAgentClient>
let answer: Answer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sendense-client-'))
  const socket = join(folder, 'socket')
  server = createServer((request, response) => answer(request, response))
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  client = openAgentClient(socket)
})
afterAll(async () => {
  client.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true })
})

const refusal = JSON.stringify({ success: false, error: 'no', code: 'CHAIN_BROKEN', timestamp: '', request_id: '' })
const refuse: Answer = (_, response) => response.writeHead(409).end(refusal)
const answers: [string, Answer, string][] = [
  ['refuses', refuse, 'CHAIN_BROKEN'],
  [
    'refuses and says that it hangs up',
    (_, response) => response.writeHead(409, { Connection: 'close' }).end(refusal),
    'CHAIN_BROKEN',
  ],
  [
    'refuses and hangs up a moment later',
    (request, response) => {
      refuse(request, response)
      setTimeout(() => request.socket.destroy(), 2)
    },
    'CHAIN_BROKEN',
  ],
  ['dies', (request) => void request.once('data', () => request.socket.destroy()), 'SERVICE_UNAVAILABLE'],
]
const large = 4 * 1024 ** 2
const calls: [string, (agent: AgentApi) => Promise<unknown>][] = [
  ['digests', (agent) => agent.readDigests({ text: 'x'.repeat(large) } as unknown as DigestBody)],
  ['a check', (agent) => agent.verifyFile({ text: 'x'.repeat(large) } as unknown as VerifyBody)],
]

it.each(answers.flatMap(([what, how, code]) => calls.map(([call, work]) => [what, call, how, code, work] as const)))(
  'the agent %s before all of %s is sent',
  async (_what, _call, how, code, work) => {
    answer = how
    for (let turn = 0; turn < 10; turn++) {
      const error = await work(client).catch((thrown: HubError) => thrown)
      // What the agent has said may be lost when it hangs up on who still speaks.
      expect([code, 'SERVICE_UNAVAILABLE']).toContain((error as HubError).code)
    }
    // An error of a socket that nobody listens to comes later, and would fail this file.
    await sleep(50)
  },
)

it('what an agent that has refused is asked next is answered', async () => {
  answer = refuse
  await calls[0]![1](client).catch(() => undefined)
  answer = (_, response) => response.writeHead(200).end('{"mounts":[],"ended":[]}')
  expect(await client.listMounts()).toEqual({ mounts: [], ended: [] })
})
