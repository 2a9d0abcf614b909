/** Runs a lane in parts side by side: each is this program again, in namespaces of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { projectRoot } from '../../runtime/version.ts'
import { inNamespaces } from '../support/namespaces.ts'
import type { Counts } from './campaign.ts'
import { lanes } from './lanes/index.ts'

export type Part = { lane: string; seed: number; first: number; trials: number }

/** @param onLine is told what the part says meanwhile. @throws Error for a part that did not come to its end. */
export const runPart = async ({ lane, seed, first, trials }: Part, onLine: (line: string) => void): Promise<Counts> => {
  lanes[lane]!.fetch?.()
  const folder = mkdtempSync(join(tmpdir(), 'sendense-part-'))
  const program = join(fileURLToPath(projectRoot), 'dist/test/faults/run.js')
  const args = [`--lane=${lane}`, `--seed=${seed}`, `--first=${first}`, `--trials=${trials}`, '--counts']
  // In memory: flushing to a real disk would be most of a trial.
  const [tool, options] = inNamespaces(folder, { inMemory: true, hasNetwork: false }, [
    process.execPath,
    program,
    ...args,
  ])
  const child = execa(tool, options, { stdin: 'ignore', stderr: 'inherit', buffer: false })
  let counts: Counts | undefined
  try {
    for await (const line of child) {
      if (line.startsWith('{')) counts = JSON.parse(line) as Counts
      else onLine(line)
    }
  } catch (error) {
    // One with violations ends so, too, and has said its counts.
    if (!counts) throw error
  } finally {
    rmSync(folder, { recursive: true })
  }
  if (!counts)
    throw new Error(`a part of lane ${lane} did not come to its end, trials ${first} to ${first + trials - 1}`)
  return counts
}

/** @returns what all of them counted together; `seconds` is that of the longest. */
export const sumOf = (parts: Counts[]): Counts => {
  const sum = (name: 'fired' | 'survived' | 'violated' | 'notFired') =>
    parts.reduce((total, part) => total + part[name], 0)
  return {
    fired: sum('fired'),
    survived: sum('survived'),
    violated: sum('violated'),
    notFired: sum('notFired'),
    seconds: Math.max(0, ...parts.map(({ seconds }) => seconds)),
    violations: parts.flatMap(({ violations }) => violations),
  }
}
