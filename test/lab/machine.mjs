/**
 * A throw-away machine with a stock Debian kernel, for what this host's kernel lacks: QEMU without hardware support, this host's
 * files below a tmpfs, gone when its command ends.
 */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ensureKernel, makeInitrd } from '../../scripts/stock-kernel.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
/** What the initrd loads before it has a root filesystem. */
const bootModules = ['virtio_pci', 'virtio_console', 'virtiofs', 'overlay']
const virtiofsd = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'].find((path) => existsSync(path))

const ensureLabKernel = (cache) => {
  const kernel = ensureKernel(cache)
  const initrd = join(cache, `initrd-${kernel.version}`)
  if (!existsSync(initrd))
    makeInitrd(kernel, initrd, {
      script: join(here, 'initramfs-init.sh'),
      modules: bootModules,
      folders: ['lower', 'upper', 'root'],
    })
  return { ...kernel, initrd }
}

/** What a machine needs to turn itself off, at the most. */
const turnOffMs = 60_000

/**
 * Runs a bash script as root in such a machine, its output on ours.
 * @param script text of the script; only what it leaves in /lab/out comes back
 * @param cache folder for the kernel, kept between runs
 * @returns its exit code. @throws when the machine dies or takes longer than `seconds`
 */
export const runInMachine = async (script, { cache, seconds, memoryMiB = 4096 }) => {
  if (!virtiofsd) throw new Error('virtiofsd is missing (package qemu-system-common)')
  const { folder: kernel, version, initrd } = ensureLabKernel(cache)
  const lab = mkdtempSync(join(tmpdir(), 'sendense-lab-'))
  const children = []
  const start = (program, args, stdio) => {
    const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], { stdio })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    children.push({ child, ended })
    return { child, ended }
  }
  try {
    mkdirSync(join(lab, 'share/out'), { recursive: true })
    writeFileSync(join(lab, 'share/kernel-folder'), kernel)
    writeFileSync(join(lab, 'share/command'), script)
    copyFileSync(join(here, 'guest-init.sh'), join(lab, 'share/guest-init.sh'))
    chmodSync(join(lab, 'share/guest-init.sh'), 0o755)

    const shares = [
      { tag: 'root', source: '/', cache: 'always' },
      { tag: 'lab', source: join(lab, 'share'), cache: 'auto' },
    ]
    const devices = shares.flatMap(({ tag, source, cache: mode }) => {
      const socket = join(lab, `${tag}.sock`)
      const options = `source=${source},sandbox=chroot,cache=${mode},no_posix_lock,no_flock`
      start(virtiofsd, [`--socket-path=${socket}`, '-o', options, '--thread-pool-size=2'], 'ignore')
      return ['-chardev', `socket,id=${tag},path=${socket}`, '-device', `vhost-user-fs-pci,chardev=${tag},tag=${tag}`]
    })
    const ready = () => shares.every(({ tag }) => existsSync(join(lab, `${tag}.sock`)))
    for (let tries = 0; !ready() && tries < 250; tries++) await sleep(20)

    const machine = start(
      '/usr/bin/qemu-system-x86_64',
      [
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        // Never KVM: where it is there but half working, a machine hangs in its first instructions.
        ...['-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max', '-smp', '2', '-m', String(memoryMiB)],
        ...['-object', `memory-backend-memfd,id=mem,size=${memoryMiB}M,share=on`],
        ...['-machine', 'q35,memory-backend=mem'],
        ...['-kernel', join(kernel, `boot/vmlinuz-${version}`), '-initrd', initrd],
        ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on'],
        ...['-serial', `file:${join(lab, 'console')}`, '-device', 'virtio-serial-pci'],
        ...['-chardev', 'stdio,id=out,signal=off', '-device', 'virtconsole,chardev=out'],
        ...['-device', 'virtio-rng-pci', ...devices],
      ],
      ['ignore', 'inherit', 'inherit'],
    )
    const codeFile = join(lab, 'share/exit-code')
    const late = sleep(seconds * 1000, 'late', { ref: false })
    // One that has said its code and does not turn itself off is turned off.
    const done = (async () => {
      while (!existsSync(codeFile)) await sleep(1000, undefined, { ref: false })
      return sleep(turnOffMs, 'done', { ref: false })
    })()
    const how = await Promise.race([machine.ended, late, done])
    if (how === 'late' || !existsSync(codeFile)) {
      const said = existsSync(join(lab, 'console')) ? readFileSync(join(lab, 'console'), 'utf8').slice(-2000) : ''
      throw new Error(how === 'late' ? `The lab ran past ${seconds} seconds` : `The lab's machine died:\n${said}`)
    }
    return Number(readFileSync(codeFile, 'utf8'))
  } finally {
    for (const { child, ended } of children) {
      child.kill('SIGKILL')
      await ended
    }
    rmSync(lab, { recursive: true, force: true })
  }
}
