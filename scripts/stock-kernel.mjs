/** A stock Debian kernel for machines under QEMU: fetched and unpacked, never installed. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

/** The small one, for machines under QEMU alone; it has the filesystems of guests as modules. */
const kernelPackage = 'linux-image-cloud-amd64'

/** @returns what the program says @throws Error with what it says is wrong */
export const must = (program, args, options = {}) => {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', ...options })
  if (error || status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? stderr}`)
  return stdout
}

/**
 * Fetches it once.
 * @param cache folder for kernels
 * @returns its own folder, with `boot` and `lib/modules` in it, and its version
 */
export const ensureKernel = (cache) => {
  const name = /Depends: (linux-image-\S+)/.exec(must('/usr/bin/apt-cache', ['depends', kernelPackage]))?.[1]
  if (!name) throw new Error(`${kernelPackage} names no kernel`)
  const folder = join(cache, name)
  if (!existsSync(folder)) {
    const work = mkdtempSync(join(tmpdir(), 'sendense-kernel-'))
    try {
      must('/usr/bin/apt-get', ['download', '-q', name], { cwd: work })
      const file = readdirSync(work).find((entry) => entry.endsWith('.deb'))
      mkdirSync(cache, { recursive: true })
      // Beside its place, and moved when it is whole.
      const fresh = `${folder}.${process.pid}`
      must('/usr/bin/dpkg', ['-x', join(work, file), fresh])
      must('/usr/sbin/depmod', ['-b', fresh, readdirSync(join(fresh, 'lib/modules'))[0]])
      renameSync(fresh, folder)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
  return { folder, version: readdirSync(join(folder, 'lib/modules'))[0] }
}

/** @returns the files of modules and of what they need, each after what it needs */
export const modulesWithNeeds = ({ folder, version }, modules) => {
  const files = new Set()
  for (const module of modules)
    for (const line of must('/usr/sbin/modprobe', ['-d', folder, '-S', version, '--show-depends', module]).split('\n'))
      if (line.startsWith('insmod ')) files.add(line.split(' ')[1])
  return [...files]
}

/**
 * Packs what a machine needs until it has a root filesystem: a shell, modules, and the script that loads them in the order of the file `order`.
 * @param file to write
 * @param script its first process
 * @param modules by their names
 * @param folders that the script mounts something on
 */
export const makeInitrd = (kernel, file, { script, modules, folders }) => {
  const root = mkdtempSync(join(tmpdir(), 'sendense-initrd-'))
  try {
    for (const name of ['bin', 'modules', 'proc', 'sys', 'dev', ...folders]) mkdirSync(join(root, name))
    copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
    copyFileSync(script, join(root, 'init'))
    for (const name of ['bin/busybox', 'init']) chmodSync(join(root, name), 0o755)
    const files = modulesWithNeeds(kernel, modules)
    for (const module of files) copyFileSync(module, join(root, 'modules', basename(module)))
    writeFileSync(join(root, 'order'), files.map((module) => `${basename(module)}\n`).join(''))
    const names = readdirSync(root, { recursive: true }).sort().join('\n')
    const packed = spawnSync('/usr/bin/cpio', ['-o', '-H', 'newc', '--quiet', '--owner=0:0'], {
      cwd: root,
      input: `${names}\n`,
      maxBuffer: 256 * 1024 * 1024,
    })
    if (packed.status !== 0) throw new Error(`cpio failed: ${packed.stderr}`)
    writeFileSync(file, packed.stdout)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
