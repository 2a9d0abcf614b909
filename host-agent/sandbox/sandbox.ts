/**
 * A place for processes that look at a guest's disk: users that nobody else is, no network, no file of the host but programs, and rights over nothing but what
 * they make themselves. In it a reader (reader.ts) waits to be asked, and QEMU shows it the disk.
 */
import { chmod, chown, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { UserIds } from '../../contract/settings.ts'
import { overlayBytesMax } from '../attach/overlay.ts'
import { StorageDaemon } from '../attach/storage-daemon.ts'
import {
  type Daemon,
  isRunning,
  killDescendants,
  killProven,
  processStartTicks,
  program,
  run,
  startDaemon,
} from '../exec.ts'
import { firstHandedFd } from '../run-tool.ts'
import type { ControlGroup } from './control-groups.ts'
import { becomingThere, dyingWithParent, emptyPlace, openFilter } from './place.ts'
import { inside, readerLines, usersAreThere } from './protocol.ts'
import { ReaderClient } from './reader-client.ts'
import { overSocketIn } from './reader-transport.ts'

/** The reader as it was built (vite.config.ts), beside `dist`. */
const readerFolder = fileURLToPath(
  new URL(`${import.meta.url.endsWith('.ts') ? '../..' : '../../..'}/dist-reader`, import.meta.url),
)
/** How many users a guest has there; files of others belong to nobody. */
const userCount = 65_536
const startTimeoutMs = 15_000
/** Memory is taken from these processes before all others when there is none left. */
const oomScore = '900'
/** In MiB: a zip keeps half a KiB for each of its entries until the end. */
const heapMax = '1024'

export type SandboxOptions = {
  /** Made here, and removed by `close`. */
  folder: string
  users: UserIds
  /** A FUSE device that everybody may open. */
  fuseDevice: string
  readerSeconds: number
  /** What it may take of the machine; without one, what each of its processes may. */
  group: ControlGroup | undefined
}

const command = (shared: string, { users, fuseDevice }: SandboxOptions): string[] => [
  // The reader is the first process there: with it all others end.
  '--as-pid-1',
  ...emptyPlace(firstHandedFd, ['/app', '/etc', '/run', inside.guest]),
  ...['--ro-bind', process.execPath, '/app/node'],
  ...['--ro-bind', readerFolder, '/app/reader'],
  ...['--dev', '/dev', '--dev-bind', fuseDevice, '/dev/fuse'],
  ...['--bind', shared, inside.shared],
  ...['--setenv', 'UV_THREADPOOL_SIZE', '16', '--chdir', '/', '--'],
  ...['/usr/bin/choom', '-n', oomScore, '--'],
  ...becomingThere(users),
  // Its own users: from here on it has rights, over these namespaces alone.
  ...[program.unshare, '--user', '--net', '--mount', '--propagation', 'slave', '--keep-caps', '--'],
  ...dyingWithParent,
  ...['/app/node', `--max-old-space-size=${heapMax}`, '/app/reader/sandbox.js'],
]

/**
 * Gives a sandbox its users or groups. The file belongs to its owner, and only who may become anybody may say it: so it is written by one who is the owner
 * and may still do that.
 */
const giveUsers = (pid: number, file: 'uid_map' | 'gid_map', { uid, gid }: UserIds) => {
  const rights = ['--inh-caps=+setuid,+setgid', '--ambient-caps=+setuid,+setgid']
  const asOwner = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...rights, '--']
  const write = ['/usr/bin/dd', `of=/proc/${pid}/${file}`, 'conv=notrunc,nocreat', 'status=none']
  return run(program.setpriv, [...asOwner, ...write], { input: `0 ${file === 'uid_map' ? uid : gid} ${userCount}\n` })
}

/** @param file to keep the filter in */
const startFiltered = async (args: string[], file: string): Promise<Daemon> => {
  const filter = await openFilter(file)
  try {
    return await startDaemon(program.bwrap, args, { isTalkedTo: true, fds: [filter.fd] })
  } finally {
    await filter.close()
  }
}

/** Lines that the reader says while it is being started. */
const linesOf = (daemon: Daemon) => {
  const said = new Set<string>()
  const waiting = new Map<string, () => void>()
  const lines = createInterface({ input: daemon.output! }).on('line', (line) => {
    if (waiting.has(line)) waiting.get(line)!()
    else if (said.size < 2) said.add(line)
  })
  const waitFor = (line: string): Promise<void> => {
    if (said.has(line)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`a sandbox could not be made: ${why}`))
      const timer = setTimeout(() => fail('its reader does not answer'), startTimeoutMs)
      waiting.set(line, () => {
        clearTimeout(timer)
        resolve()
      })
      void daemon.ended.then(({ stderr, exitCode, signal }) => {
        clearTimeout(timer)
        fail(stderr.trim().split('\n').at(-1) || `it was ended by ${signal ?? `exit code ${exitCode}`}`)
      })
    })
  }
  /** Once it has read a guest's disk, what it says there is nobody's business: a line may have no end. */
  const ignoreAll = () => {
    lines.close()
    daemon.output!.resume()
  }
  return { waitFor, ignoreAll }
}

export class Sandbox {
  readonly reader: ReaderClient
  /** Folder of the host that is `inside.shared` there. */
  readonly shared: string
  readonly #options: SandboxOptions
  readonly #daemon: Daemon
  /** Its first process, as the host numbers it. */
  readonly #init: { pid: number; startTicks: string }
  readonly #qemus: StorageDaemon[] = []
  /** Resolve when each QEMU, too, is in its group. */
  readonly #counted: (Promise<void> | undefined)[] = []
  #upper: StorageDaemon | undefined

  /** @throws Error that says what is missing */
  static async start(options: SandboxOptions): Promise<Sandbox> {
    const { folder, users, readerSeconds } = options
    const shared = join(folder, 'shared')
    let daemon: Daemon | undefined
    try {
      await mkdir(shared, { recursive: true })
      await chmod(shared, 0o770)
      // Root's group, too: an agent that may not override permissions comes in by it.
      await chown(shared, users.uid, 0)
      daemon = await startFiltered(command(shared, options), join(folder, 'system-calls'))
      // Its end says it.
      daemon.input!.on('error', () => undefined)
      const lines = linesOf(daemon)
      await lines.waitFor(readerLines.started)
      await options.group?.takeIn(daemon.pid)
      const pid = Number(await readFile(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8'))
      const init = { pid, startTicks: (await processStartTicks(pid)) ?? '' }
      await Promise.all([giveUsers(pid, 'uid_map', users), giveUsers(pid, 'gid_map', users)])
      daemon.input!.write(usersAreThere)
      await lines.waitFor(readerLines.listening)
      lines.ignoreAll()
      const reader = new ReaderClient(
        overSocketIn(await open(shared, 'r'), inside.socket),
        readerSeconds * 1000,
        daemon,
      )
      const sandbox = new Sandbox(options, shared, daemon, init, reader)
      await sandbox.upper()
      return sandbox
    } catch (error) {
      await daemon?.stop(0)
      await options.group?.remove()
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  private constructor(
    options: SandboxOptions,
    shared: string,
    daemon: Daemon,
    init: { pid: number; startTicks: string },
    reader: ReaderClient,
  ) {
    this.#options = options
    this.shared = shared
    this.#daemon = daemon
    this.#init = init
    this.reader = reader
    void daemon.ended.then(({ exitCode, signal }) =>
      reader.hasEnded(`the reader was ended by ${signal ?? `exit code ${exitCode}`}`),
    )
  }

  get isAlive(): boolean {
    return !this.#daemon.hasEnded()
  }
  /** Resolves with the reason when it has ended, whoever ended it. */
  get ended(): Promise<string> {
    return this.reader.ended
  }

  /**
   * QEMU without any file, for volumes that the reader puts together: it reads the files of another one, which must not wait for itself. One waits with the sandbox,
   * for its start is a tenth of such a volume's mount.
   */
  async upper(): Promise<StorageDaemon> {
    if (!this.#upper || this.#upper.process.hasEnded()) this.#upper = await this.startStorageDaemon([])
    return this.#upper
  }

  /** The first of its users, who is root there. */
  get users(): UserIds {
    return this.#options.users
  }

  /** QEMU in the sandbox, with open files as its descriptors from firstHandedFd on. */
  async startStorageDaemon(fds: readonly number[]): Promise<StorageDaemon> {
    const qemu = await StorageDaemon.start({ fds, fileBytesMax: overlayBytesMax, within: this.#init.pid })
    // Not waited for: moving a process takes the kernel 4 to 9 ms, a tenth of a mount. One that has ended meanwhile needs no limit.
    this.#qemus.push(qemu)
    this.#counted.push(this.#options.group?.takeIn(qemu.process.pid).catch(() => undefined))
    return qemu
  }

  /** Ends all that runs in it and removes its folder. Idempotent. */
  async close(): Promise<void> {
    const { pid, startTicks } = this.#init
    // With its first process the kernel ends all others there, but not one of which a call is in a FUSE driver's hands: that waits for the driver, whatever
    // signal it gets (fs/fuse/dev.c, request_wait_answer), and the first process may be one. So QEMU and the drivers go before it.
    while (await isRunning(pid, startTicks)) {
      for (const { process } of this.#qemus) {
        if (!process.hasEnded()) await killDescendants(process.pid)
        // nsenter has QEMU as its child, stops when that is stopped, and must hear of its end before the kernel lets the first process go.
        process.kill('SIGCONT')
      }
      await killDescendants(pid)
      await killProven(pid, startTicks)
      await sleep(2)
    }
    for (const { process } of this.#qemus) await process.stop(0)
    await this.#daemon.stop(1000)
    await this.reader.close()
    await Promise.all(this.#counted)
    await this.#options.group?.remove()
    await rm(this.#options.folder, { recursive: true, force: true })
  }
}
