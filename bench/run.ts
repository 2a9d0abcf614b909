/** `npm run bench [question …]`: runs the benchmarks and prints one table. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const questions = [
  'full-backup',
  'incremental',
  'mount',
  'volumes',
  'download',
  'list',
  'site-lists',
  'console',
  'index',
  'copy',
  'merge',
  'flow',
  'site',
  'load',
]
const asked = process.argv.slice(2)
process.stdout.write('| What | Sendense Hub | Peer or floor | Ratio | Goal | Met |\n|---|---|---|---|---|---|\n')
for (const question of asked.length > 0 ? asked : questions) {
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL(`./${question}/run.js`, import.meta.url))], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exitCode = 1
}
