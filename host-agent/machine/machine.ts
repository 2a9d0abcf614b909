/**
 * A throw-away machine: QEMU with a stock kernel and a reader (reader.ts), for guests' filesystems that no process without rights can read. What takes its kernel over
 * has a machine of no network and no disk but the backup's, which can not be written, around it QEMU, which is nobody, and around that a place without files.
 */
import { chmod, chown, mkdir, rm, stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UserIds } from '../../contract/settings.ts'
import { nbdNode } from '../attach/overlay.ts'
import { ofTheDisk, QmpProcess } from '../attach/qmp.ts'
import { program, startDaemon } from '../exec.ts'
import { nextUser } from '../qemu-users.ts'
import { firstHandedFd } from '../run-tool.ts'
import type { ControlGroup } from '../sandbox/control-groups.ts'
import { becomingThere, emptyPlace, openFilter } from '../sandbox/place.ts'
import { ReaderClient } from '../sandbox/reader-client.ts'
import { overLine } from '../sandbox/reader-transport.ts'
import { diskName, readerPort } from './inside.ts'

export type Accelerator = 'kvm' | 'tcg'
export type MachineOptions = {
  /** Made here, and removed by `close`. */
  folder: string
  /** Folder with its kernel, initrd and root filesystem. */
  image: string
  accelerator: Accelerator
  readerSeconds: number
  /** Ends it while it starts. */
  signal: AbortSignal
  /** What it may take of the host; without one, its own memory and what QEMU needs beside it. */
  group: ControlGroup | undefined
}

/** Hardware that works has a reader answer in a second or two; without it that takes three to seven, and longer on a busy host. */
const startTimeoutMs: Record<Accelerator, number> = { kvm: 15_000, tcg: 60_000 }
/** What its kernel and reader need, and the cache of what they read. */
const memoryMiB = 640
/** Memory is taken from it before all others when there is none left. */
const oomScore = '900'
/** The last that its kernel said, in bytes: why it did not start. */
const consoleBytes = 16 * 1024
const kvmDevice = '/dev/kvm'
/** Where its place has what. */
const there = { image: '/machine', shared: '/run/agent', line: 'reader.sock' } as const

const accelerated: Record<Accelerator, string[]> = {
  kvm: ['-accel', 'kvm', '-cpu', 'host'],
  tcg: ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max'],
}
const qemu = (accelerator: Accelerator): string[] => [
  '/usr/bin/qemu-system-x86_64',
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'q35'],
  ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
  ...[...accelerated[accelerator], '-smp', '2', '-m', String(memoryMiB)],
  ...['-kernel', `${there.image}/kernel`, '-initrd', `${there.image}/initrd`],
  // Nobody is in it to be protected from one another; a kernel that has stumbled ends, and so does QEMU.
  ...['-append', 'console=ttyS0 quiet panic=-1 oops=panic mitigations=off random.trust_cpu=on'],
  ...['-chardev', `ringbuf,id=console,size=${consoleBytes}`, '-serial', 'chardev:console'],
  ...['-chardev', 'stdio,id=qmp,signal=off', '-mon', 'chardev=qmp,mode=control'],
  ...['-blockdev', `driver=file,node-name=root,filename=${there.image}/root.img,read-only=on`],
  ...['-device', 'virtio-blk-pci,drive=root', '-device', 'virtio-scsi-pci,id=disks', '-device', 'virtio-serial-pci'],
  ...['-chardev', `socket,id=line,path=${there.shared}/${there.line},server=on,wait=off`],
  ...['-device', `virtserialport,chardev=line,name=${readerPort}`],
]

/** Who may use the hardware's support is often a group. */
const inGroupOf = async (device: string, user: UserIds): Promise<string[]> => {
  const { gid } = await stat(device)
  return becomingThere(user).map((option) => (option === '--clear-groups' ? `--groups=${gid}` : option))
}

const command = async (shared: string, user: UserIds, { image, accelerator }: MachineOptions): Promise<string[]> => [
  // Not bubblewrap's own: that sets its loopback up, which takes a right that the agent does not have.
  ...['--net', '--', program.bwrap],
  ...emptyPlace(firstHandedFd, ['/run', there.image]),
  ...['--dev', '/dev', '--ro-bind', image, there.image, '--bind', shared, there.shared],
  ...(accelerator === 'kvm' ? ['--dev-bind', kvmDevice, kvmDevice] : []),
  // bubblewrap stays the first process there, and root: only so does the kernel let the news of its parent's death end it, and QEMU with it.
  '--',
  ...['/usr/bin/choom', '-n', oomScore, '--', '/usr/bin/prlimit', '--core=0', '--'],
  ...(accelerator === 'kvm' ? await inGroupOf(kvmDevice, user) : becomingThere(user)),
  ...qemu(accelerator),
]

/** The line is there as soon as QEMU is, long before its kernel. */
const lineTo = async (path: string, hasEnded: () => boolean): Promise<Socket> => {
  while (!hasEnded()) {
    const made = await stat(path).catch(() => undefined)
    if (made?.isSocket()) {
      // Its user alone may use it so far; nothing of a guest is near it yet.
      await chmod(path, 0o666)
      return connect(path).on('error', () => undefined)
    }
    await sleep(5)
  }
  throw new Error('QEMU did not start')
}

export class Machine {
  readonly reader: ReaderClient
  readonly #options: MachineOptions
  readonly #shared: string
  readonly #qemu: QmpProcess
  #disks = 0

  /** @throws Error that says what is missing */
  static async start(options: MachineOptions): Promise<Machine> {
    const { folder, accelerator, readerSeconds, signal, group } = options
    const shared = join(folder, 'shared')
    const user = nextUser()
    let own: QmpProcess | undefined
    let timer: NodeJS.Timeout | undefined
    try {
      await mkdir(shared, { recursive: true })
      await chmod(shared, 0o770)
      // Root's group, too: an agent that may not override permissions comes in by it.
      await chown(shared, user.uid, 0)
      const filter = await openFilter(join(folder, 'system-calls'))
      const daemon = await startDaemon(program.unshare, await command(shared, user, options), {
        isTalkedTo: true,
        fds: [filter.fd],
      }).finally(() => filter.close())
      own = new QmpProcess(daemon)
      const end = () => daemon.kill('SIGKILL')
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
      await group?.takeIn(daemon.pid)
      const line = overLine(await lineTo(join(shared, there.line), daemon.hasEnded))
      const reader = new ReaderClient(line, readerSeconds * 1000, daemon)
      void daemon.ended.then(({ exitCode, signal }) =>
        reader.hasEnded(`the machine was ended by ${signal ?? `exit code ${exitCode}`}`),
      )
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`it did not start within ${startTimeoutMs[accelerator] / 1000} s`)),
          startTimeoutMs[accelerator],
        )
      })
      const ended = reader.ended.then((why) => Promise.reject(new Error(why)))
      await Promise.race([reader.hello(), late, ended])
      signal.removeEventListener('abort', end)
      return new Machine(options, shared, own, reader)
    } catch (error) {
      const said = own && (await lastWords(own))
      await own?.process.stop(0)
      await group?.remove()
      await rm(folder, { recursive: true, force: true })
      throw new Error(`no throw-away machine could be started (${accelerator}): ${said || (error as Error).message}`, {
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }

  private constructor(options: MachineOptions, shared: string, own: QmpProcess, reader: ReaderClient) {
    this.#options = options
    this.#shared = shared
    this.#qemu = own
    this.reader = reader
  }

  get accelerator(): Accelerator {
    return this.#options.accelerator
  }
  get isAlive(): boolean {
    return !this.#qemu.process.hasEnded()
  }
  /** Resolves with the reason when it has ended, whoever ended it. */
  get ended(): Promise<string> {
    return this.reader.ended
  }
  /** Folder of the host in which QEMU finds sockets. */
  get shared(): string {
    return this.#shared
  }

  /**
   * Plugs a disk in.
   * @param socket name of a socket in `shared` at which it is given as `exportName`
   * @returns what the reader knows it by
   * @throws CHAIN_BROKEN
   */
  async addDisk(socket: string, exportName: string, writable: boolean): Promise<string> {
    const at = this.#disks++
    const image = diskName(at)
    const node = {
      ...nbdNode(`${there.shared}/${socket}`, exportName),
      'read-only': !writable,
      'node-name': image,
    }
    await ofTheDisk(() => [
      this.#qemu.execute('blockdev-add', node),
      this.#qemu.execute('device_add', {
        driver: 'scsi-hd',
        id: `scsi-${image}`,
        bus: 'disks.0',
        drive: image,
        'scsi-id': at,
        lun: 0,
      }),
    ])
    return image
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#qemu.process.stop(0)
    await this.reader.close()
    await this.#options.group?.remove()
    await rm(this.#options.folder, { recursive: true, force: true })
  }
}

/** What QEMU said, or else the end of what its kernel said. */
const lastWords = async (own: QmpProcess): Promise<string> => {
  const lastLine = (text: string) => text.trim().split('\n').at(-1)!.slice(0, 300)
  if (own.process.stderr().trim() !== '') return lastLine(own.process.stderr())
  const said = await own.execute('ringbuf-read', { device: 'console', size: consoleBytes }).catch(() => '')
  return typeof said === 'string' ? lastLine(said) : ''
}
