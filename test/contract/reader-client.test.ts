/** Who is waited for while what is known of a volume goes to its reader: the reader, or whoever sends it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { wholeTrailer } from '../../host-agent/sandbox/protocol.ts'
import { ReaderClient } from '../../host-agent/sandbox/reader-client.ts'
import { overSocketIn } from '../../host-agent/sandbox/reader-transport.ts'

const timeoutMs = 1000
let close: () => Promise<void>
afterEach(() => close())

/** @returns a client of what answers so, and how often that was ended */
const clientOf = async (answer: RequestListener) => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-reader-'))
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(join(folder, 'reader'), resolve))
  let ends = 0
  const process = {
    kill: () => {
      ends++
    },
    stderr: () => '',
  }
  const client = new ReaderClient(overSocketIn(await open(folder), 'reader'), timeoutMs, process as never)
  close = async () => {
    await client.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    rmSync(folder, { recursive: true })
  }
  return { client, ends: () => ends }
}

it('is not ended for what has not been sent to it', async () => {
  const { client, ends } = await clientOf(async (request, response) => {
    const asked = await buffer(request)
    response.writeHead(200, { Trailer: wholeTrailer })
    response.write(`${asked.length} bytes`)
    response.addTrailers({ [wholeTrailer]: 'yes' })
    response.end()
  })
  async function* late() {
    yield Buffer.alloc(3)
    await sleep(2.5 * timeoutMs)
    yield Buffer.alloc(4)
  }
  const content = await client.volume(1).index({ bytes: 7, chunks: late() })
  expect(ends()).toBe(0)
  const target = new PassThrough()
  await content(target, new AbortController().signal)
  target.end()
  expect(await text(target)).toBe(`${'{"volume":1,"known_bytes":7}\n'.length + 7} bytes`)
})

it('is ended when it does not take what is sent', async () => {
  const { client, ends } = await clientOf(() => undefined)
  async function* much() {
    for (let chunk = 0; chunk < 256; chunk++) yield Buffer.alloc(64 * 1024)
  }
  const index = client.volume(1).index({ bytes: 256 * 64 * 1024, chunks: much() })
  await expect(index).rejects.toMatchObject({ details: 'it did not answer in time' })
  expect(ends()).toBe(1)
})
