/**
 * Lanes A and B, call by call: the Nth system call that changes something kills its process or fails, in the agent or in a tool
 * that it runs, once or from then on.
 */
import { join } from 'node:path'
import type { Random } from '../../support/damage.ts'
import type { Lane } from '../lane.ts'
import { type AgentWorld, operations as allOperations, type Operation, openAgentWorld } from '../support/agent-world.ts'
import { type CallGroup, countCalls, type Injection, systemCalls, whileInjected } from '../support/strace.ts'

/** What each kind of call can answer when a machine is in trouble. */
const errors: Record<CallGroup, string[]> = {
  make: ['EMFILE', 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'ENOMEM', 'EIO', 'EINTR'],
  write: ['EIO', 'ENOSPC', 'EDQUOT', 'ENOMEM', 'EINTR'],
  sync: ['EIO', 'ENOSPC', 'EDQUOT', 'EINTR'],
  rename: ['EIO', 'ENOSPC', 'EROFS', 'EACCES'],
  remove: ['EIO', 'EROFS', 'EBUSY', 'EACCES'],
  attach: ['EIO', 'EBUSY', 'ENOMEM', 'EACCES'],
  process: ['EAGAIN', 'ENOMEM', 'EACCES'],
  read: ['EIO', 'ENOMEM', 'EINTR'],
}
const parts = 10_000
const groups = Object.keys(systemCalls) as CallGroup[]
/** How many calls of each group the thread makes that makes most of them, in every operation: each was watched once, without a fault. */
type Calls = Map<Operation, [CallGroup, number][]>
const watchAll = async ({ real, prepare, perform, check }: AgentWorld, operations: Operation[]): Promise<Calls> => {
  const calls: Calls = new Map()
  for (const operation of operations) {
    const file = await prepare(operation)
    const counts = await countCalls(real.pid(), join(real.folder, 'strace.log'), () => perform(operation, file))
    const violations = await check(operation, file)
    if (violations.length > 0) throw new Error(`${operation} goes wrong without a fault: ${violations.join()}`)
    calls.set(
      operation,
      groups.map((group): [CallGroup, number] => [group, counts[group]]).filter(([, count]) => count > 0),
    )
  }
  return calls
}

type Fault = Pick<Injection, 'fault' | 'onwards'>
const drawKill = (): Fault => ({ fault: 'signal=SIGKILL', onwards: false })
const drawError = (group: CallGroup, random: Random): Fault => {
  const error = errors[group][random(errors[group].length)]!
  // An interrupted call is made again, for ever if it must be.
  return { fault: `error=${error}`, onwards: random(3) === 0 && error !== 'EINTR' }
}

const lane = (
  title: string,
  draw: (group: CallGroup, random: Random) => Fault,
  mayDie: boolean,
  operations: Operation[] = [...allOperations],
): Lane => ({
  title,
  open: async () => {
    // One thread, so that the Nth call is the Nth of all.
    const world = await openAgentWorld({ fileThreads: 1 })
    const { real } = world
    const counts = await watchAll(world, operations)
    return {
      trial: async (random) => {
        const operation = operations[random(operations.length)]!
        const made = counts.get(operation)!
        const [group, count] = made[random(made.length)]!
        // As a part of the count, so that a trial that is played again strikes the same call if one more or less is made then.
        const nth = 1 + Math.floor((random(parts) / parts) * count)
        const { fault, onwards } = draw(group, random)
        const calls = systemCalls[group]
        const file = await world.prepare(operation)
        let answer = 'done'
        const work = async () => {
          await world.perform(operation, file).catch((error: Error) => {
            answer = `${(error as { code?: string }).code ?? ''} ${error.message}`
          })
        }
        const { struck, wasStuck } = await whileInjected(
          real.pid(),
          { calls, fault, nth, onwards },
          join(real.folder, 'strace.log'),
          work,
        )
        const what = `${operation} with ${fault} at call ${nth}${onwards ? ' and after' : ''} of ${calls}: ${answer}; struck ${struck.slice(0, 3).join(' | ')}`
        const violations = /WRONG BYTES|verification found/.test(answer) ? [answer] : []
        // What strace left in any state is no agent to go on with.
        if (wasStuck) await real.kill()
        if (!(await real.isRunning())) {
          if (!mayDie && !wasStuck) violations.push('the host-agent has died of it')
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
export const killMergeAtCalls = lane('kill -9 at a system call, while restore points are merged', drawKill, true, [
  'merge',
])
export const failingCalls = lane('a failing system call of the host-agent or a tool of it', drawError, false)
