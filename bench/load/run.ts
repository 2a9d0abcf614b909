/** Ten minutes of everything at once (test/support/load.ts): does the API stay quick while it streams, and does memory stay flat? */
import { openLoadedHub } from '../../test/support/load.ts'
import { print, row } from '../support/measure.ts'

const minutes = 10
const goalMs = 200
const mib = 2 ** 20

const { run, close } = await openLoadedHub()
try {
  const { requests, downloadedBytes, telemetry, refusals, failures, p50, p99, memory } = await run(minutes * 60)
  const what = `101 exports, 8 mounts, 64 clients, 200 reports/s, ${minutes} minutes`
  print([
    row(
      `API p99 while streaming; ${what}`,
      `${p99.toFixed(0)} ms (p50 ${p50.toFixed(0)} ms)`,
      `goal ${goalMs} ms`,
      p99 / goalMs,
      '≤ 1',
      p99 <= goalMs,
    ),
    ...Object.entries(memory).map(([name, { early, late }]) =>
      row(
        `Resident memory of the ${name} at the end`,
        `${Math.round(late / mib)} MiB`,
        `after ${minutes / 5} minutes: ${Math.round(early / mib)} MiB`,
        late / early,
        '≤ 1.2',
        late / early <= 1.2,
      ),
    ),
  ])
  process.stderr.write(
    `${requests} requests, ${Math.round(downloadedBytes / mib)} MiB, ${telemetry} reports; refused ${JSON.stringify(refusals)}; failed ${JSON.stringify(failures)}\n`,
  )
  if (failures.length > 0) process.exitCode = 1
} finally {
  await close()
}
