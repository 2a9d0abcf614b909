/** Runs a lane's trials and counts how they ended. */
import { census, leftBehind } from '../support/census.ts'
import { seeded } from '../support/damage.ts'
import type { Lane } from './lane.ts'

/** Tells the numbers of two trials apart, however many there are. */
const seedStep = 1_000_003

export type Counts = {
  fired: number
  survived: number
  violated: number
  notFired: number
  seconds: number
  /** One line a violation, with what plays it again. */
  violations: string[]
}

type Trials = {
  seed: number
  /** Number of the first trial: each has numbers of its own, made of seed and number. */
  first: number
  trials: number
  /** Are told at once. */
  onViolation?: (line: string) => void
  onTrial?: (line: string) => void
}

export const runLane = async (lane: Lane, { seed, first, trials, onViolation, onTrial }: Trials): Promise<Counts> => {
  const before = await census()
  const began = performance.now()
  const counts: Counts = { fired: 0, survived: 0, violated: 0, notFired: 0, seconds: 0, violations: [] }
  const violated = (line: string) => {
    counts.violated++
    counts.violations.push(line)
    onViolation?.(line)
  }
  const open = await lane.open()
  try {
    for (let number = first; number < first + trials; number++) {
      const { fired, what, violations } = await open.trial(seeded(seed * seedStep + number))
      counts[fired ? 'fired' : 'notFired']++
      onTrial?.(`${number} ${fired ? 'fired' : 'not fired'}: ${what}`)
      if (violations.length > 0) violated(`--seed ${seed} --only ${number}: ${what}\n  ${violations.join('\n  ')}`)
      else if (fired) counts.survived++
    }
  } finally {
    await open.close()
  }
  for (const thing of await leftBehind(before)) violated(`left behind: ${thing}`)
  counts.seconds = Math.round((performance.now() - began) / 1000)
  return counts
}
