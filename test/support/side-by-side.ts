/** Files of tests that take turns on devices and processes, some at once: each is a run of vitest in namespaces of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { mapSome } from '../../host-agent/concurrency.ts'
import { projectRoot } from '../../runtime/version.ts'
import { inNamespaces } from './namespaces.ts'

/** @property file relative to the project's root @property part of what it has, as n/m, for a file that knows how to part itself @property hasNetwork that of the host */
export type Job = { project: string; file: string; part?: string; hasNetwork?: boolean }
export type Outcome = { passed: number; failed: number; skipped: number }

/** @param report as vitest's reporter `json` writes it, if there is one @param isFine whether vitest said so */
export const outcomeOf = (report: string, isFine: boolean): Outcome => {
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'))
    // What is wrong with no single test counts as one.
    const failed = Math.max(numFailedTests, isFine ? 0 : 1)
    return { passed: numPassedTests, failed, skipped: numPendingTests }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}
export const sumOf = (outcomes: readonly Outcome[]): Outcome => ({
  passed: outcomes.reduce((sum, { passed }) => sum + passed, 0),
  failed: outcomes.reduce((sum, { failed }) => sum + failed, 0),
  skipped: outcomes.reduce((sum, { skipped }) => sum + skipped, 0),
})

/** Says what vitest said once it has ended. */
const run = async ({ project, file, part, hasNetwork = false }: Job): Promise<Outcome> => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-side-'))
  try {
    const [tool, args] = inNamespaces(folder, { inMemory: false, hasNetwork }, [
      ...[process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--project', project, file],
      ...['--reporter=default', '--reporter=json', '--outputFile=/tmp/report.json'],
    ])
    const { exitCode, all } = await execa(tool, args, {
      cwd: fileURLToPath(projectRoot),
      stdin: 'ignore',
      all: true,
      reject: false,
      env: part === undefined ? {} : { SENDENSE_TEST_PART: part },
    })
    process.stdout.write(`${all}\n`)
    return outcomeOf(join(folder, 'report.json'), exitCode === 0)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @param jobs begun in this order */
export const runSideBySide = async (jobs: readonly Job[], atOnce: number): Promise<Outcome> =>
  sumOf(await mapSome(jobs, atOnce, run))
