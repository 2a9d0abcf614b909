/**
 * The fault campaign. Usage: npm run test:faults -- [--lane A] [--trials N] [--seed S] [--parts P] [--first K] [--only K] [--verbose]
 * `--lane D` runs the lane of that name, `--lane A` all lanes whose names begin so; `--parts P` splits each into that many side by side; `--seed S --only K` plays one
 * trial again. `--counts` says the counts alone, as JSON.
 */
import { parseArgs } from 'node:util'
import { type Counts, runLane } from './campaign.ts'
import { lanes } from './lanes/index.ts'
import { runPart, sumOf } from './parts.ts'

const { values } = parseArgs({
  options: {
    lane: { type: 'string', default: '' },
    trials: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    parts: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
    only: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    counts: { type: 'boolean', default: false },
  },
})
const say = (text: string) => process.stdout.write(`${text}\n`)
const chosen = lanes[values.lane] ? [values.lane] : Object.keys(lanes).filter((name) => name.startsWith(values.lane))
if (chosen.length === 0) throw new Error(`There is no lane ${values.lane}; there are ${Object.keys(lanes).join(', ')}`)
const { only } = values
const [seed, parts] = [Number(values.seed), Number(values.parts)]
const [first, trials] = only === undefined ? [Number(values.first), Number(values.trials)] : [Number(only), 1]

const here = (name: string): Promise<Counts> =>
  runLane(lanes[name]!, {
    seed,
    first,
    trials,
    onViolation: (line) => say(`VIOLATED lane ${name} ${line}`),
    ...(values.verbose ? { onTrial: say } : {}),
  })
const sideBySide = async (name: string): Promise<Counts> => {
  const size = Math.ceil(trials / parts)
  const firsts = Array.from({ length: parts }, (_, at) => first + at * size)
  const part = (from: number) =>
    runPart({ lane: name, seed, first: from, trials: Math.min(size, first + trials - from) }, say)
  const ended = await Promise.allSettled(firsts.map(part))
  for (const one of ended)
    if (one.status === 'rejected') {
      // What the others have counted holds all the same.
      process.exitCode = 1
      say(`BROKEN lane ${name} ${String(one.reason).slice(0, 300)}`)
    }
  return sumOf(ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
}

if (!values.counts)
  say('| Lane | Fault | Fired | Survived | Violated | Not fired | Took |\n|---|---|---|---|---|---|---|')
for (const name of chosen) {
  const counts = await (parts > 1 ? sideBySide(name) : here(name))
  const { fired, survived, violated, notFired, seconds } = counts
  if (values.counts) say(JSON.stringify(counts))
  else say(`| ${name} | ${lanes[name]!.title} | ${fired} | ${survived} | ${violated} | ${notFired} | ${seconds} s |`)
  if (violated > 0) process.exitCode = 1
}
