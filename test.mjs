/** `npm test`: installs what the tests need, runs all of them, counts, and checks that nothing is left behind. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare } from './scripts/prepare.mjs'

await prepare({ withDevelopment: true })
const { census, leftBehind } = await import('./dist/test/support/census.js')
const { outcomeOf, runSideBySide, sumOf } = await import('./dist/test/support/side-by-side.js')

const folder = mkdtempSync(join(tmpdir(), 'sendense-test-report-'))
const before = await census()

const vitest = (args) => {
  const report = join(folder, 'report.json')
  rmSync(report, { force: true })
  const { status } = spawnSync(
    process.execPath,
    [
      ...['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json'],
      ...[`--outputFile=${report}`, ...args],
    ],
    { stdio: 'inherit' },
  )
  return outcomeOf(report, status === 0)
}

/** Those that take long come first, so that none of them is the last that everything waits for. */
const longest = [
  'volumes/matrix.test.ts',
  'browser/console.test.ts',
  'e2e/site.test.ts',
  'host-agent/filesystems.test.ts',
  'host-agent/sandbox.test.ts',
  'e2e/life.test.ts',
  'host-agent/crashes.test.ts',
  'host-agent/machine.test.ts',
]
const rank = ({ file }) => {
  const at = longest.indexOf(file.replace('test/', ''))
  return at < 0 ? longest.length : at
}
const jobs = () =>
  ['volumes', 'browser', 'e2e', 'host-agent']
    .flatMap((project) =>
      readdirSync(`test/${project}`)
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => ({ project, file: `test/${project}/${name}` })),
    )
    // npm asks for packages.
    .map((job) => ({ ...job, hasNetwork: job.file === 'test/e2e/package.test.ts' }))
    .flatMap((job) => (job.project === 'volumes' ? ['1/2', '2/2'].map((part) => ({ ...job, part })) : [job]))
    .sort((a, b) => rank(a) - rank(b))

const all = async () => [
  // Their own ways to run some at once.
  vitest(['functions', 'unit', 'after', 'faults'].map((project) => `--project=${project}`)),
  await runSideBySide(jobs(), Math.max(2, availableParallelism() >> 1)),
]
/** What is asked for is all that is run, one file after the other. */
const asked = process.argv.slice(2)
const withoutLab = asked.some((argument) => argument.startsWith('--project')) ? [] : ['--project=!lab']
const { passed, failed, skipped } = sumOf(asked.length > 0 ? [vitest([...withoutLab, ...asked])] : await all())
rmSync(folder, { recursive: true })

const left = await leftBehind(before)
for (const line of left) console.error(`left behind: ${line}`)
const failures = failed + (left.length > 0 ? 1 : 0)
console.log(`${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failures === 0 ? 0 : 1)
