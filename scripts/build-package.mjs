/** `npm run package`: a Debian package of this checkout in dist-package/. Needs what `npm start` needs, and dpkg-deb. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildGui } from './prepare.mjs'
import { bundleReaders } from './reader-machine.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const { version, description } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const run = (program, args, options = {}) => {
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options })
  if (status !== 0) throw new Error(`${program} ${args[0]} failed`)
}
const packages = readFileSync(join(root, 'deploy/debian-packages.txt'), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter((line) => line !== '')

const stage = mkdtempSync(join(tmpdir(), 'sendense-package-'))
try {
  const home = join(stage, 'usr/lib/sendense-hub')
  mkdirSync(home, { recursive: true })
  for (const name of ['package.json', 'package-lock.json', 'README.md', 'CHANGELOG.md'])
    cpSync(join(root, name), join(home, name))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  run(process.execPath, [compiler, '--project', 'tsconfig.build.json', '--outDir', join(home, 'dist')], { cwd: root })
  // What only the tests and benchmarks need is no part of it.
  for (const name of ['test', 'bench', 'tour']) rmSync(join(home, 'dist', name), { recursive: true, force: true })
  cpSync(join(root, 'db/migrations'), join(home, 'db/migrations'), { recursive: true })
  if (!buildGui(join(home, 'dist-gui'))) throw new Error('The console could not be built')
  // What throw-away machines are started from is put together where it is installed: it has the host's own Node in it.
  bundleReaders(join(home, 'dist-reader'))
  for (const file of [
    'scripts/stock-kernel.mjs',
    'scripts/reader-machine.mjs',
    'scripts/make-reader-machine.mjs',
    'host-agent/machine/init.sh',
  ])
    cpSync(join(root, file), join(home, file))
  // What the console is made of is in it already.
  run('npm', ['ci', '--omit=dev', '--workspaces=false', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home })
  // The compiler is for checkouts; it is also the only part that is made for one kind of processor.
  for (const name of ['typescript', '@typescript', '.bin'])
    rmSync(join(home, 'node_modules', name), { recursive: true, force: true })

  cpSync(join(root, 'deploy/systemd'), join(stage, 'lib/systemd/system'), { recursive: true })
  mkdirSync(join(stage, 'etc/sendense'), { recursive: true })
  cpSync(join(root, 'deploy/package/hub.env'), join(stage, 'etc/sendense/hub.env'))
  mkdirSync(join(stage, 'usr/sbin'), { recursive: true })
  cpSync(join(root, 'deploy/package/sendense-doctor'), join(stage, 'usr/sbin/sendense-doctor'))
  chmodSync(join(stage, 'usr/sbin/sendense-doctor'), 0o755)

  mkdirSync(join(stage, 'usr/bin'))
  chmodSync(join(home, 'dist/cli/main.js'), 0o755)
  symlinkSync('../lib/sendense-hub/dist/cli/main.js', join(stage, 'usr/bin/sendense'))

  mkdirSync(join(stage, 'DEBIAN'))
  writeFileSync(
    join(stage, 'DEBIAN/control'),
    [
      'Package: sendense-hub',
      `Version: ${version}`,
      // The packages are JavaScript; nothing is compiled.
      'Architecture: all',
      'Maintainer: Sendense <packages@sendense.invalid>',
      `Depends: nodejs (>= 20.19), ${packages.join(', ')}`,
      'Section: admin',
      'Priority: optional',
      `Description: ${description}`,
      '',
    ].join('\n'),
  )
  writeFileSync(join(stage, 'DEBIAN/conffiles'), '/etc/sendense/hub.env\n')
  for (const script of ['postinst', 'prerm']) {
    cpSync(join(root, 'deploy/package', script), join(stage, 'DEBIAN', script))
    chmodSync(join(stage, 'DEBIAN', script), 0o755)
  }
  const out = join(root, 'dist-package')
  mkdirSync(out, { recursive: true })
  const file = `sendense-hub_${version}_all.deb`
  // Beside its place: /tmp is often a filesystem of its own, and what is cut off must not look whole.
  const made = join(out, `${file}.part`)
  run('dpkg-deb', ['--build', '--root-owner-group', '-Zgzip', stage, made])
  renameSync(made, join(out, file))
  process.stdout.write(`${join('dist-package', file)}\n`)
} finally {
  rmSync(stage, { recursive: true, force: true })
}
