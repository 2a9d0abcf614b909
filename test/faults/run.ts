/**
 * The fault campaign. Usage: npm run test:faults -- [--lane A] [--trials N] [--seed S] [--only K]
 * Every trial has numbers of its own, made of seed and number: `--seed S --only K` plays one again.
 */
import { parseArgs } from 'node:util'
import { census, leftBehind } from '../support/census.ts'
import { seeded } from '../support/damage.ts'
import type { Lane } from './lane.ts'
import { damage } from './lanes/damage.ts'
import { killAgent } from './lanes/kill-agent.ts'

const lanes: Record<string, Lane> = { A: killAgent, E: damage }
/** Tells the numbers of two trials apart, however many there are. */
const seedStep = 1_000_003

const { values } = parseArgs({
  options: {
    lane: { type: 'string' },
    trials: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
})
const say = (text: string) => process.stdout.write(`${text}\n`)

const runLane = async (letter: string, lane: Lane): Promise<boolean> => {
  const before = await census()
  const began = performance.now()
  const counts = { fired: 0, survived: 0, violated: 0, notFired: 0 }
  const open = await lane.open()
  try {
    const only = values.only === undefined ? undefined : Number(values.only)
    const [first, end] = only === undefined ? [0, Number(values.trials)] : [only, only + 1]
    for (let number = first; number < end; number++) {
      const { fired, what, violations } = await open.trial(seeded(Number(values.seed) * seedStep + number))
      counts[fired ? 'fired' : 'notFired']++
      if (violations.length > 0) {
        counts.violated++
        say(`VIOLATED lane ${letter} --seed ${values.seed} --only ${number}: ${what}\n  ${violations.join('\n  ')}`)
      } else if (fired) counts.survived++
    }
  } finally {
    await open.close()
  }
  const left = await leftBehind(before)
  for (const thing of left) say(`LEFT BEHIND ${thing}`)
  const seconds = Math.round((performance.now() - began) / 1000)
  const { fired, survived, violated, notFired } = counts
  say(`| ${letter} | ${lane.title} | ${fired} | ${survived} | ${violated} | ${notFired} | ${seconds} s |`)
  return violated === 0 && left.length === 0
}

say('| Lane | Fault | Fired | Survived | Violated | Not fired | Took |\n|---|---|---|---|---|---|---|')
for (const [letter, lane] of Object.entries(lanes))
  if (values.lane === undefined || values.lane === letter) if (!(await runLane(letter, lane))) process.exitCode = 1
