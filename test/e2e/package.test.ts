/** The Debian package: complete, runs from where it is unpacked, and its units leave little exposed. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { projectRoot } from '../../runtime/version.ts'
import { readSettings } from '../../wrangler-style.config.ts'

const root = fileURLToPath(projectRoot)
const units = join(root, 'deploy/systemd')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sendense-unpacked-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

it.each([
  ['sendense-hub', 1.5],
  ['sendense-agent', 4],
  ['sendense-node', 4],
  ['sendense-database', 1.5],
])('the unit %s is exposed by %d at most', async (name, most) => {
  const { stdout } = await execa(
    '/usr/bin/systemd-analyze',
    ['security', '--offline=true', '--no-pager', join(units, `${name}.service`)],
    { reject: false, env: { LC_ALL: 'C' } },
  )
  const level = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1])
  expect(level).toBeGreaterThan(0)
  expect(level).toBeLessThanOrEqual(most)
})
it('starts the database as the launcher does, at the place where the hub looks for it', () => {
  const unit = readFileSync(join(units, 'sendense-database.service'), 'utf8')
  const { runDir } = readSettings({ SENDENSE_DATA_DIR: '/var/lib/sendense' })
  expect(unit).toContain(`--socket=${runDir}/database/db.sock`)
  const launched = readFileSync(join(root, 'runtime/embedded-database.ts'), 'utf8')
  for (const [option] of unit
    .match(/--(innodb|performance|max|character|collation|skip)[\w=-]+/g)!
    .map((found) => [found]))
    expect(launched).toContain(option)
})
it('is built by one command, holds no compiled code, and runs', async () => {
  const { stdout } = await execa('npm', ['run', '--silent', 'package'], { cwd: root })
  const file = join(root, stdout.trim().split('\n').at(-1)!)
  await execa('/usr/bin/dpkg-deb', ['--extract', file, folder])
  const { stdout: control } = await execa('/usr/bin/dpkg-deb', ['--field', file])
  expect(control).toMatch(/^Depends: nodejs \(>= 20\.19\), qemu-utils/m)
  const files = readdirSync(folder, { recursive: true }) as string[]
  expect(files.filter((name) => /\.(node|so)$/.test(name))).toEqual([])
  for (const name of readdirSync(units)) expect(files).toContain(`lib/systemd/system/${name}`)

  const help = await execa(join(folder, 'usr/bin/sendense'), ['--help'])
  expect(help.stdout).toContain('get-dir')

  // As its configuration does on a host; the kernel has been fetched for the tests already.
  const machine = join(folder, 'machine')
  const cache = join(root, 'node_modules/.cache/sendense-kernel')
  await execa(process.execPath, [join(folder, 'usr/lib/sendense-hub/scripts/make-reader-machine.mjs'), machine, cache])
  expect(readdirSync(machine).sort()).toEqual(['initrd', 'kernel', 'root.img'])

  // What the units run, as far as it goes without a service manager.
  const home = join(folder, 'usr/lib/sendense-hub')
  const dataDir = join(folder, 'data')
  mkdirSync(dataDir)
  const env = { PATH: process.env.PATH!, SENDENSE_DATA_DIR: dataDir }
  await execa(process.execPath, [join(home, 'dist/runtime/prepare.js'), 'host'], { env, extendEnv: false })
  expect(readdirSync(join(dataDir, 'run')).sort()).toEqual(['agent.json', 'node.json'])
  expect(readdirSync(join(dataDir, 'database')).sort()).toEqual(['init.sql', 'mysql'])
  const { runDir } = readSettings(env)
  rmSync(runDir, { recursive: true })
  // Every program of the units is there and loads: without its settings it says so, and nothing else.
  for (const [program, words] of [
    ['host-agent/main.js', 'usage: main.js --settings'],
    ['source-node/main.js', 'usage: main.js --settings'],
    ['runtime/main.js', 'ENOENT'],
    ['doctor/main.js', 'The doctor could not look'],
    ['cli/main.js', 'login'],
  ] as const) {
    const { stderr, exitCode } = await execa(process.execPath, [join(home, 'dist', program)], {
      env: { ...env, SENDENSE_DATA_DIR: join(folder, 'nothing') },
      extendEnv: false,
      reject: false,
    })
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain(words)
    expect(stderr).not.toContain('ERR_MODULE_NOT_FOUND')
  }
})
