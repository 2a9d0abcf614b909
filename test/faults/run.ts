/**
 * The fault campaign. Usage: npm run test:faults -- [--lane A] [--trials N] [--seed S] [--only K] [--verbose]
 * `--lane A` runs all lanes whose names begin so; `--seed S --only K` plays one trial again.
 */
import { parseArgs } from 'node:util'
import { runLane } from './campaign.ts'
import { lanes } from './lanes/index.ts'

const { values } = parseArgs({
  options: {
    lane: { type: 'string', default: '' },
    trials: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
})
const say = (text: string) => process.stdout.write(`${text}\n`)
const chosen = Object.entries(lanes).filter(([name]) => name.startsWith(values.lane))
if (chosen.length === 0) throw new Error(`There is no lane ${values.lane}; there are ${Object.keys(lanes).join(', ')}`)
const which =
  values.only === undefined ? { first: 0, trials: Number(values.trials) } : { first: Number(values.only), trials: 1 }

say('| Lane | Fault | Fired | Survived | Violated | Not fired | Took |\n|---|---|---|---|---|---|---|')
for (const [name, lane] of chosen) {
  const onViolation = (line: string) => say(`VIOLATED lane ${name} ${line}`)
  const { fired, survived, violated, notFired, seconds } = await runLane(lane, {
    seed: Number(values.seed),
    ...which,
    onViolation,
    ...(values.verbose ? { onTrial: say } : {}),
  })
  say(`| ${name} | ${lane.title} | ${fired} | ${survived} | ${violated} | ${notFired} | ${seconds} s |`)
  if (violated > 0) process.exitCode = 1
}
