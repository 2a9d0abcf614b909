/** `npm test`: installs what the tests need, runs all of them, counts, and checks that nothing is left behind. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepare } from './scripts/prepare.mjs'

await prepare({ withDevelopment: true })
const { census, leftBehind } = await import('./dist/test/support/census.js')

const folder = mkdtempSync(join(tmpdir(), 'sendense-test-report-'))
const report = join(folder, 'report.json')
const before = await census()
const { status } = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    // The lab's project is for its machine alone; projects that are asked for are all that is run.
    ...(process.argv.some((argument) => argument.startsWith('--project')) ? [] : ['--project=!lab']),
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${report}`,
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit' },
)
const {
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: skipped,
} = JSON.parse(readFileSync(report, 'utf8'))
rmSync(folder, { recursive: true })

const left = await leftBehind(before)
for (const line of left) console.error(`left behind: ${line}`)
const failures = failed + (left.length > 0 ? 1 : 0)
console.log(`${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(status === 0 && failures === 0 ? 0 : 1)
