/** `npm start`, on a machine that has only Node and npm: installs what is missing, builds what is stale, starts everything. */
import { prepare } from './scripts/prepare.mjs'

try {
  await prepare({ withDevelopment: false })
  await import('./dist/runtime/start.js')
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}
