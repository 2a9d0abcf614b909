/** Makes what a throw-away machine is started from (host-agent/machine): a stock kernel, an initrd, and a root filesystem with Node, the reader, and the programs that it runs. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureKernel, makeInitrd, modulesWithNeeds, must } from './stock-kernel.mjs'

const project = fileURLToPath(new URL('../', import.meta.url))
/** What the root filesystem is found with, the disks, and the line to the agent. */
const bootModules = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'virtio_console', 'virtio_balloon', 'ext4']
/** Loaded by the kernel when it is asked to mount one; the character sets are those of vfat. */
const filesystems = [
  'ext4',
  'xfs',
  'btrfs',
  'vfat',
  'exfat',
  'isofs',
  'udf',
  'nls_cp437',
  'nls_ascii',
  'nls_utf8',
  'nls_iso8859-1',
]
/** Room for what ext4 itself takes, in bytes. */
const spareBytes = 16 * 1024 ** 2

/** A program with the libraries that it is linked to. */
const copyProgram = (root, from, to) => {
  const target = join(root, to)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(realpathSync(from), target)
  // ldd: `name => /path (address)`, or the loader by its path alone.
  for (const [, path] of must('/usr/bin/ldd', [from]).matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
    mkdirSync(join(root, dirname(path)), { recursive: true })
    copyFileSync(realpathSync(path), join(root, path))
  }
}

/** @param to folder for `kernel`, `initrd` and `root.img` @param app folder that the readers were bundled to */
const assemble = (kernel, app, to) => {
  const root = mkdtempSync(join(tmpdir(), 'sendense-root-'))
  try {
    for (const name of ['proc', 'sys', 'dev', 'guest', 'run', 'tmp', 'etc', 'sbin']) mkdirSync(join(root, name))
    copyProgram(root, process.execPath, 'usr/bin/node')
    for (const program of ['usr/bin/mount', 'usr/bin/zstd', 'usr/bin/find']) copyProgram(root, `/${program}`, program)
    mkdirSync(join(root, 'usr/sbin'))
    copyFileSync('/bin/busybox', join(root, 'usr/sbin/modprobe'))
    // Where the kernel itself looks for it.
    symlinkSync('/usr/sbin/modprobe', join(root, 'sbin/modprobe'))
    cpSync(app, join(root, 'app'), { recursive: true })
    const modules = join('lib/modules', kernel.version)
    for (const file of modulesWithNeeds(kernel, filesystems)) {
      const path = file.slice(kernel.folder.length)
      mkdirSync(join(root, dirname(path)), { recursive: true })
      copyFileSync(file, join(root, path))
    }
    for (const name of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'])
      copyFileSync(join(kernel.folder, modules, name), join(root, modules, name))
    must('/usr/sbin/depmod', ['-b', root, kernel.version])
    const bytes = Number(must('/usr/bin/du', ['-sb', root]).split('\t')[0])
    const blocks = Math.ceil((bytes * 1.1 + spareBytes) / 4096)
    const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-b', '4096', '-E', 'root_owner=0:0', '-d', root]
    must('/usr/sbin/mke2fs', [...options, join(to, 'root.img'), String(blocks)])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  copyFileSync(join(kernel.folder, `boot/vmlinuz-${kernel.version}`), join(to, 'kernel'))
  const script = join(project, 'host-agent/machine/init.sh')
  makeInitrd(kernel, join(to, 'initrd'), { script, modules: bootModules, folders: ['root'] })
}

/** Bundles the readers, those of sandboxes as well. @param to absolute */
export const bundleReaders = (to) => {
  const vite = join(project, 'node_modules/vite/bin/vite.js')
  const config = join(project, 'host-agent/vite.config.ts')
  must(process.execPath, [vite, 'build', '--config', config, '--outDir', to, '--emptyOutDir', '--logLevel', 'error'])
}

/** @param to absolute folder, made here @param cache absolute folder for kernels @param app absolute folder with the bundled readers @throws Error that says what is missing */
export const makeReaderMachine = ({ to, cache, app }) => {
  if (process.arch !== 'x64') throw new Error(`there is none for ${process.arch}`)
  mkdirSync(to, { recursive: true })
  assemble(ensureKernel(cache), app, to)
}
