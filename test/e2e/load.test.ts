/** Half a minute of everything at once: nothing fails that the contract does not name, nothing grows, nothing is left. */
import { expect, it } from 'vitest'
import { census, leftBehind } from '../support/census.ts'
import { openLoadedHub } from '../support/load.ts'

const tooMuch = '503 SERVICE_UNAVAILABLE'

it('serves 101 exports, 8 mounts, 64 clients and 200 reports a second', async () => {
  const before = await census()
  const { hub, run, close } = await openLoadedHub()
  expect((await hub.api('GET', '/nbd/ports/status')).body.allocated).toBe(101)
  // Processes that have just started are slow: what reads a mount is one of its own.
  expect((await run(10)).failures).toEqual([])
  const result = await run(30)
  expect(result.failures).toEqual([])
  // Whoever asks more than a small machine can serve is told to come again, and nothing else.
  const { [tooMuch]: refused = 0, ...others } = result.refusals
  expect(others).toEqual({})
  expect(refused).toBeLessThan((result.requests + result.telemetry) / 20)
  expect(result.requests).toBeGreaterThan(100)
  expect(result.telemetry).toBeGreaterThan(1000)
  // Room for what a collector has not collected yet; what leaks with each request is far beyond it.
  for (const { early, late } of Object.values(result.memory)) expect(late - early).toBeLessThan(200 * 2 ** 20)
  await close()
  expect(await leftBehind(before)).toEqual([])
})
