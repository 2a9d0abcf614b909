/** Lane A, at random times: the host-agent is killed in the middle of an operation, and started again. */
import type { Lane } from '../lane.ts'
import { type Operation, openAgentWorld, operations } from '../support/agent-world.ts'

/** How long an operation is taken to last before it has once been seen to its end, in ms. */
const firstGuessMs = 200

export const killAgent: Lane = {
  title: 'kill -9 of the host-agent at a random time',
  open: async () => {
    const world = await openAgentWorld()
    const usual = new Map<Operation, number>()
    return {
      trial: async (random) => {
        const operation = operations[random(operations.length)]!
        const file = await world.prepare(operation)
        const usualMs = usual.get(operation) ?? firstGuessMs
        const delayMs = random(Math.ceil(usualMs * 1.1 * 1000)) / 1000
        let isOver = false
        const began = performance.now()
        const running = world.perform(operation, file).then(
          () => {
            isOver = true
            usual.set(operation, usualMs * 0.8 + (performance.now() - began) * 0.2)
          },
          () => undefined,
        )
        await new Promise((resolve) => setTimeout(resolve, delayMs))
        const fired = !isOver
        await world.real.kill()
        await running
        await world.real.start()
        const what = `${operation}, killed after ${delayMs.toFixed(1)} ms`
        return { fired, what, violations: await world.check(operation, file) }
      },
      close: world.close,
    }
  },
}
