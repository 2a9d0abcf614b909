/**
 * Lanes A and B, call by call: the Nth system call that changes something kills its process or fails, in the agent or in a tool
 * that it runs, once or from then on.
 */
import { join } from 'node:path'
import type { Random } from '../../support/damage.ts'
import type { Lane } from '../lane.ts'
import { openAgentWorld, operations } from '../support/agent-world.ts'
import { type CallGroup, type Injection, systemCalls, whileInjected } from '../support/strace.ts'

/** What each kind of call can answer when a machine is in trouble. */
const errors: Record<CallGroup, string[]> = {
  make: ['EMFILE', 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'ENOMEM', 'EIO'],
  write: ['EIO', 'ENOSPC', 'EDQUOT', 'ENOMEM'],
  sync: ['EIO', 'ENOSPC', 'EDQUOT'],
  rename: ['EIO', 'ENOSPC', 'EROFS', 'EACCES'],
  remove: ['EIO', 'EROFS', 'EBUSY', 'EACCES'],
  attach: ['EIO', 'EBUSY', 'ENOMEM', 'EACCES'],
  process: ['EAGAIN', 'ENOMEM', 'EACCES'],
  read: ['EIO', 'ENOMEM'],
}
const groups = Object.keys(systemCalls) as CallGroup[]
/** Hardly any thread makes more calls of a group in one operation. */
const nthMax: Record<CallGroup, number> = {
  make: 30,
  write: 20,
  sync: 8,
  rename: 8,
  remove: 8,
  attach: 6,
  process: 5,
  read: 12,
}

/** The first calls most often: not every operation makes many. */
const drawNth = (group: CallGroup, random: Random) => 1 + random(1 + random(nthMax[group]))
const drawKill = (random: Random): Injection => {
  const group = groups[random(groups.length)]!
  return { calls: systemCalls[group], fault: 'signal=SIGKILL', nth: drawNth(group, random), onwards: false }
}
const drawError = (random: Random): Injection => {
  const group = groups[random(groups.length)]!
  const error = errors[group][random(errors[group].length)]!
  const nth = drawNth(group, random)
  return { calls: systemCalls[group], fault: `error=${error}`, nth, onwards: random(3) === 0 }
}

const lane = (title: string, draw: (random: Random) => Injection, mayDie: boolean): Lane => ({
  title,
  open: async () => {
    // One thread, so that the Nth call is the Nth of all.
    const world = await openAgentWorld({ fileThreads: 1 })
    const { real } = world
    return {
      trial: async (random) => {
        const operation = operations[random(operations.length)]!
        const injection = draw(random)
        const file = await world.prepare(operation)
        let answer = 'done'
        const work = async () => {
          await world.perform(operation, file).catch((error: Error) => {
            answer = `${(error as { code?: string }).code ?? ''} ${error.message}`
          })
        }
        const struck = await whileInjected(real.pid(), injection, join(real.folder, 'strace.log'), work)
        const { fault, nth, onwards } = injection
        const what = `${operation} with ${fault} at call ${nth}${onwards ? ' and after' : ''} of ${injection.calls}: ${answer}; struck ${struck.slice(0, 3).join(' | ')}`
        const violations = /WRONG BYTES|verification found/.test(answer) ? [answer] : []
        if (!real.isRunning()) {
          if (!mayDie) violations.push('the host-agent has died of it')
          await real.start()
        }
        violations.push(...(await world.check(operation, file)))
        return { fired: struck.length > 0, what, violations }
      },
      close: world.close,
    }
  },
})

export const killAtCalls = lane('kill -9 at a system call, of the host-agent or a tool of it', drawKill, true)
export const failingCalls = lane('a failing system call of the host-agent or a tool of it', drawError, false)
