/** QEMU of a throw-away machine: what it is told to be, and its start, up to the line that leads into it. */
import { once } from 'node:events'
import { chmod, chown, type FileHandle, mkdir, stat } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { UserIds } from '../../contract/settings.ts'
import { QmpProcess } from '../attach/qmp.ts'
import { program, startDaemon } from '../exec.ts'
import { nextUser } from '../qemu-users.ts'
import { firstHandedFd } from '../run-tool.ts'
import { becomingThere, emptyPlace, openFilter } from '../sandbox/place.ts'
import { readerPort } from './inside.ts'

export type Accelerator = 'kvm' | 'tcg'
export type QemuOptions = {
  /** Made here; whoever ends it removes that. */
  folder: string
  /** Folder with its kernel, initrd and root filesystem. */
  image: string
  accelerator: Accelerator
  /** A saved state (saved-state.ts) that it goes on from; without one its kernel starts. */
  state: FileHandle | undefined
}

/** What its kernel and reader need, and the cache of what they read. */
const memoryMiB = 640
/** Memory is taken from it before all others when there is none left. */
const oomScore = '900'
/** The last that its kernel said, in bytes: why it did not start. */
const consoleBytes = 16 * 1024
const kvmDevice = '/dev/kvm'
/** Where its place has what. */
export const there = { image: '/machine', shared: '/run/agent', line: 'reader.sock' } as const
/** Of the open files that it is handed. */
const handed = { filter: 0, state: 1 } as const

/** An emulated kernel of several processors is slower: when one of them waits for a lock, whoever holds it may not even run. */
const accelerated: Record<Accelerator, string[]> = {
  kvm: ['-accel', 'kvm', '-cpu', 'host', '-smp', '2'],
  tcg: ['-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max', '-smp', '1'],
}
const qemu = (accelerator: Accelerator): string[] => [
  '/usr/bin/qemu-system-x86_64',
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'q35'],
  ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
  ...[...accelerated[accelerator], '-m', String(memoryMiB)],
  ...['-kernel', `${there.image}/kernel`, '-initrd', `${there.image}/initrd`],
  // Nobody is in it to be protected from one another; a kernel that has stumbled ends, and so does QEMU. To tell which pages are free it allocates them: none should be written to for that.
  ...['-append', 'console=ttyS0 quiet panic=-1 oops=panic mitigations=off random.trust_cpu=on init_on_alloc=0'],
  ...['-chardev', `ringbuf,id=console,size=${consoleBytes}`, '-serial', 'chardev:console'],
  ...['-chardev', 'stdio,id=qmp,signal=off', '-mon', 'chardev=qmp,mode=control'],
  ...['-blockdev', `driver=file,node-name=root,filename=${there.image}/root.img,read-only=on`],
  ...['-device', 'virtio-blk-pci,drive=root', '-device', 'virtio-scsi-pci,id=disks', '-device', 'virtio-serial-pci'],
  // Free pages need not be saved (saved-state.ts).
  ...['-object', 'iothread,id=free-pages', '-device', 'virtio-balloon-pci,free-page-hint=on,iothread=free-pages'],
  ...['-chardev', `socket,id=line,path=${there.shared}/${there.line}`],
  ...['-device', `virtserialport,chardev=line,name=${readerPort}`],
]

/** Who may use the hardware's support is often a group. */
const inGroupOf = async (device: string, user: UserIds): Promise<string[]> => {
  const { gid } = await stat(device)
  return becomingThere(user).map((option) => (option === '--clear-groups' ? `--groups=${gid}` : option))
}

const command = async (
  shared: string,
  user: UserIds,
  { image, accelerator, state }: QemuOptions,
): Promise<string[]> => [
  // Not bubblewrap's own: that sets its loopback up, which takes a right that the agent does not have.
  ...['--net', '--', program.bwrap],
  ...emptyPlace(firstHandedFd + handed.filter, ['/run', there.image]),
  ...['--dev', '/dev', '--ro-bind', image, there.image, '--bind', shared, there.shared],
  ...(accelerator === 'kvm' ? ['--dev-bind', kvmDevice, kvmDevice] : []),
  // bubblewrap stays the first process there, and root: only so does the kernel let the news of its parent's death end it, and QEMU with it.
  '--',
  ...['/usr/bin/choom', '-n', oomScore, '--', '/usr/bin/prlimit', '--core=0', '--'],
  ...(accelerator === 'kvm' ? await inGroupOf(kvmDevice, user) : becomingThere(user)),
  ...qemu(accelerator),
  ...(state ? ['-incoming', `fd:${firstHandedFd + handed.state}`] : []),
]

/** QEMU comes to its line as it starts: its guest would take one that comes later for one that was cut. */
export const listen = async (path: string, signal?: AbortSignal) => {
  const server = createServer().listen(path)
  await once(server, 'listening')
  // Its user alone comes into the folder; nothing of a guest is near it yet.
  await chmod(path, 0o666)
  const connected = once(server, 'connection', { signal }).then(([socket]) =>
    (socket as Socket).on('error', () => undefined),
  )
  // Whoever waits for it hears of it.
  connected.catch(() => undefined)
  return { connected, close: () => server.close() }
}

/** @property shared folder of the host in which it finds sockets @property line resolves when it is there */
export type Qemu = { qmp: QmpProcess; shared: string; line: Promise<Socket> }

export const startQemu = async (options: QemuOptions): Promise<Qemu> => {
  const { folder, state } = options
  const shared = join(folder, 'shared')
  const user = nextUser()
  await mkdir(shared, { recursive: true })
  await chmod(shared, 0o770)
  // Root's group, too: an agent that may not override permissions comes in by it.
  await chown(shared, user.uid, 0)
  const filter = await openFilter(join(folder, 'system-calls'))
  const listener = await listen(join(shared, there.line))
  try {
    const fds = state ? [filter.fd, state.fd] : [filter.fd]
    const daemon = await startDaemon(program.unshare, await command(shared, user, options), { isTalkedTo: true, fds })
    const ended = daemon.ended.then(() => Promise.reject(new Error('QEMU did not start')))
    const line = Promise.race([listener.connected, ended]).finally(listener.close)
    // Whoever waits for it hears of it.
    line.catch(() => undefined)
    return { qmp: new QmpProcess(daemon), shared, line }
  } catch (error) {
    listener.close()
    throw error
  } finally {
    await filter.close()
  }
}

/** What QEMU said, or else the end of what its kernel said. */
export const lastWords = async (qmp: QmpProcess): Promise<string> => {
  const lastLine = (text: string) => text.trim().split('\n').at(-1)!.slice(0, 300)
  if (qmp.process.stderr().trim() !== '') return lastLine(qmp.process.stderr())
  const said = await qmp.execute('ringbuf-read', { device: 'console', size: consoleBytes }).catch(() => '')
  return typeof said === 'string' ? lastLine(said) : ''
}
