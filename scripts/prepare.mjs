/** Brings the machine and the checkout to where the sources can run. Plain JavaScript: nothing is installed or built yet. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleReaders, makeReaderMachine } from './reader-machine.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const say = (text) => process.stdout.write(`${text}\n`)

const run = (program, args, options = {}) => {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options })
  if (error) throw new Error(`${program} could not be run: ${error.message}`)
  return status === 0
}

const packagesOf = (file) =>
  readFileSync(join(root, file), 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')

const isInstalled = (names) => {
  const { stdout } = spawnSync(
    '/usr/bin/dpkg-query',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholders
    ['--show', '--showformat=${Package} ${db:Status-Status}\n', ...names],
    { encoding: 'utf8' },
  )
  const installed = new Set(
    (stdout ?? '')
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  )
  return (name) => installed.has(name)
}

const ensureDebianPackages = (files) => {
  const wanted = files.flatMap(packagesOf)
  if (!existsSync('/usr/bin/dpkg-query') || !existsSync('/usr/bin/apt-get'))
    throw new Error(
      `This is no Debian system (apt-get is missing). Install these packages' programs yourself: ${wanted.join(' ')}`,
    )
  const missing = wanted.filter((name) => !isInstalled(wanted)(name))
  if (missing.length === 0) return
  say(`Installing Debian packages: ${missing.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '--yes', '--quiet', '--no-install-recommends', ...missing]
  const quiet = { env, stdio: ['ignore', 'ignore', 'inherit'] }
  // Lists may be missing or old; with fresh ones a failure is a real one.
  if (run('/usr/bin/apt-get', install, { env, stdio: 'ignore' })) return
  run('/usr/bin/apt-get', ['update', '--quiet'], quiet)
  if (!run('/usr/bin/apt-get', install, quiet))
    throw new Error(
      `These Debian packages could not be installed: ${missing.join(' ')}\nCheck the network and /etc/apt, then run: apt-get install ${missing.join(' ')}`,
    )
}

/** Whether node_modules holds what the lock file says, at the versions it says. */
const npmIsCurrent = (withDevelopment) => {
  const read = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false
  const wanted = read('package-lock.json')
  const present = read('node_modules/.package-lock.json')
  return Object.entries(wanted).every(
    ([path, entry]) =>
      !path.startsWith('node_modules/') ||
      entry.link ||
      entry.optional ||
      entry.devOptional ||
      (entry.dev && !withDevelopment) ||
      present[path]?.version === entry.version,
  )
}

const ensureNpmPackages = (withDevelopment) => {
  if (npmIsCurrent(withDevelopment)) return
  say('Installing npm packages')
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  if (!run('npm', ['ci', ...(withDevelopment ? ['--include=dev'] : ['--omit=dev']), ...quiet]))
    throw new Error('The npm packages could not be installed: npm ci failed')
}

/** @param paths files, and folders with all that is in them @param more what else it depends on */
const stampOf = (paths, more) => {
  const hash = createHash('sha256').update(more)
  const add = (path) => {
    const { mtimeMs, size } = statSync(join(root, path))
    hash.update(`${path} ${mtimeMs} ${size}\n`)
  }
  for (const path of paths) {
    if (!statSync(join(root, path)).isDirectory()) add(path)
    else
      for (const entry of readdirSync(join(root, path), { recursive: true, withFileTypes: true }))
        if (entry.isFile() && !entry.parentPath.includes('node_modules'))
          add(relative(root, join(entry.parentPath, entry.name)))
  }
  return hash.digest('hex')
}

/**
 * Builds where the sources are not those that it was built from.
 * @param to where the result belongs
 * @param build makes it in another folder; it is moved then: a hub that runs from this checkout is not disturbed
 * @param more what else it is built from
 */
const ensureBuilt = (what, to, sources, build, more = '') => {
  const stamp = stampOf(sources, more)
  const stampFile = join(root, to, '.stamp')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  say(`Building ${what}`)
  const fresh = `${to}.${process.pid}`
  if (!build(fresh)) throw new Error('The build failed')
  mkdirSync(join(root, fresh), { recursive: true })
  writeFileSync(join(root, fresh, '.stamp'), stamp)
  rmSync(join(root, to), { recursive: true, force: true })
  renameSync(join(root, fresh), join(root, to))
}

const ensureBuild = () => {
  const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8'))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  ensureBuilt('the hub', 'dist', ['package.json', 'tsconfig.json', 'tsconfig.build.json', ...include], (fresh) =>
    run(process.execPath, [compiler, '--project', 'tsconfig.build.json', '--outDir', fresh]),
  )
}

/** The console; its types come from the contract, and vanish. @param to a folder, relative to the checkout's root or absolute */
export const buildGui = (to) =>
  run(process.execPath, [
    join(root, 'node_modules/vite/bin/vite.js'),
    ...['build', 'gui', '--outDir', resolve(root, to), '--emptyOutDir', '--logLevel', 'error'],
  ])
const ensureGui = () => ensureBuilt('the console', 'dist-gui', ['gui', 'package-lock.json'], buildGui)

/** What readers of guests' filesystems, and what is bundled with them, are made of. */
const readerSources = ['host-agent', 'contract', 'durable', 'nbd', 'package-lock.json']
const ensureReaders = () =>
  ensureBuilt('the readers', 'dist-reader', [...readerSources, 'scripts/reader-machine.mjs'], (fresh) => {
    bundleReaders(resolve(root, fresh))
    return true
  })

/** What throw-away machines are started from; without it nobody is kept from starting, and what needs one is read by the host, or closed. */
const ensureReaderMachine = () => {
  const make = (fresh) => {
    const to = resolve(root, fresh)
    try {
      const cache = resolve(root, 'node_modules/.cache/sendense-kernel')
      makeReaderMachine({ to, app: resolve(root, 'dist-reader'), cache })
      return true
    } catch (error) {
      rmSync(to, { recursive: true, force: true })
      throw error
    }
  }
  try {
    ensureBuilt('the throw-away machine', 'dist-machine', [...readerSources, 'scripts'], make, process.version)
  } catch (error) {
    say(`The throw-away machine could not be made, and will be tried again: ${error.message}`)
  }
}

/**
 * @param withDevelopment also what only the tests need
 * @param withLab also what only the kernel lab needs
 */
export const prepare = async ({ withDevelopment, withLab = false }) => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`Node 20.19 or newer is needed, this is ${process.version}`)
  if (process.getuid?.() !== 0)
    throw new Error(
      'Sendense Hub needs root: its host-agent attaches disks and mounts them. The hub itself gives root up.\nRun: sudo npm start',
    )
  ensureDebianPackages([
    'deploy/debian-packages.txt',
    ...(withDevelopment ? ['test/debian-packages.txt'] : []),
    ...(withLab ? ['test/lab/debian-packages.txt'] : []),
  ])
  ensureNpmPackages(withDevelopment)
  ensureBuild()
  ensureGui()
  ensureReaders()
  ensureReaderMachine()
}
