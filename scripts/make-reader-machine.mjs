/** Puts together what throw-away machines are started from, on a host that has the package. Usage: node make-reader-machine.mjs [folder [cache]], as root. */
import { renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeReaderMachine } from './reader-machine.mjs'

const home = fileURLToPath(new URL('../', import.meta.url))
const to = resolve(process.argv[2] ?? join(home, 'dist-machine'))
const fresh = `${to}.new`
try {
  rmSync(fresh, { recursive: true, force: true })
  makeReaderMachine({
    to: fresh,
    app: join(home, 'dist-reader'),
    cache: resolve(process.argv[3] ?? '/var/cache/sendense-hub'),
  })
  rmSync(to, { recursive: true, force: true })
  renameSync(fresh, to)
} catch (error) {
  rmSync(fresh, { recursive: true, force: true })
  process.stderr.write(
    `No throw-away machine could be made, so this host mounts what needs a kernel: ${error.message}\n`,
  )
  process.exitCode = 1
}
