/** `npm run test:lab`: runs the host-agent's tests under a stock Debian kernel, over its nbd module. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { prepare } from './scripts/prepare.mjs'
import { runInMachine } from './test/lab/machine.mjs'

const began = performance.now()
await prepare({ withDevelopment: true, withLab: true })
// The machine has no network: what tests fetch is fetched here.
const { windowsVolumesFolder } = await import('./dist/test/support/bitlocker.js')
windowsVolumesFolder()
const project = fileURLToPath(new URL('.', import.meta.url))
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`

/** Archives of many gigabytes take hours on an emulated processor, and have nothing to do with how a disk is attached. */
const tooSlow = 'many files'
const asked = process.argv.slice(2)
// The matrix of volumes takes longer than all the rest: `npm run test:lab -- --project volumes`.
const projects = asked.includes('--project') ? [] : ['--project', 'host-agent', '--project', 'lab']
// Tests that are asked for by name are run, however long they take.
const pattern = asked.includes('-t') ? [] : [`--testNamePattern=^(?!.*${tooSlow})`]
const script = `
cd ${quote(project)}
# The tests make their images on loop devices.
modprobe loop
export CI=1 SENDENSE_TEST_ATTACH_BACKEND=kernel-nbd SENDENSE_TEST_PATIENCE=20
exec ${quote(process.execPath)} node_modules/vitest/vitest.mjs run --no-isolate --maxWorkers=1 \\
  ${[...pattern, ...projects, ...asked].map(quote).join(' ')}
`
const code = await runInMachine(script, { cache: join(project, 'node_modules/.cache/sendense-lab'), seconds: 9000 })
console.log(
  `The lab took ${Math.round((performance.now() - began) / 1000)} s; left out as too slow there: "${tooSlow}"`,
)
process.exit(code)
