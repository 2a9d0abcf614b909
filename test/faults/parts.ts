/**
 * Runs a lane in parts side by side. Each part is this program again, in namespaces of its own (processes, mounts with another /tmp,
 * /run and /dev/shm, network), so that none sees what another leaves or listens on. Loop devices are the kernel's alone, and shared.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { projectRoot } from '../../runtime/version.ts'
import type { Counts } from './campaign.ts'
import { lanes } from './lanes/index.ts'

export type Part = { lane: string; seed: number; first: number; trials: number }

/** bash is the first process there, which has to collect those that lose their parent. A project ($2) that lies in /tmp is shown there ($3), too. */
const inNamespaces = [
  // In memory: flushing to a real disk would be most of a trial. As /tmp is: others than root come by.
  'mount -t tmpfs -o size=6g,mode=1777 tmpfs "$1"',
  'if [ -n "$3" ]; then mkdir -p "$3" && mount --bind "$2" "$3"; fi',
  'mount --rbind "$1" /tmp',
  'mount -t tmpfs tmpfs /run',
  'mount -t tmpfs tmpfs /dev/shm',
  'ip link set lo up',
  'shift 3',
  '"$@"',
  'exit $?',
].join(' && ')

/** @param onLine is told what the part says meanwhile. @throws Error for a part that did not come to its end. */
export const runPart = async ({ lane, seed, first, trials }: Part, onLine: (line: string) => void): Promise<Counts> => {
  lanes[lane]!.fetch?.()
  const folder = mkdtempSync(join(tmpdir(), 'sendense-part-'))
  const root = fileURLToPath(projectRoot)
  const program = join(root, 'dist/test/faults/run.js')
  const shown = root.startsWith('/tmp/') ? join(folder, relative('/tmp', root)) : ''
  const args = [`--lane=${lane}`, `--seed=${seed}`, `--first=${first}`, `--trials=${trials}`, '--counts']
  const child = execa(
    '/usr/bin/unshare',
    [
      ...['--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--net', '--'],
      ...['/bin/bash', '-c', inNamespaces, 'part', folder, root, shown, process.execPath, program, ...args],
    ],
    { stdin: 'ignore', stderr: 'inherit', buffer: false },
  )
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
