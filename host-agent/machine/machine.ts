/**
 * A throw-away machine: QEMU with a stock kernel and a reader (reader.ts), for guests' filesystems that no process without rights can read. What takes its kernel over
 * has a machine of no network and no disk but the backup's, which can not be written, around it QEMU, which is nobody, and around that a place without files.
 */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { nbdNode } from '../attach/overlay.ts'
import { ofTheDisk } from '../attach/qmp.ts'
import { log } from '../log.ts'
import type { ControlGroup } from '../sandbox/control-groups.ts'
import { ReaderClient } from '../sandbox/reader-client.ts'
import { overLine } from '../sandbox/reader-transport.ts'
import { begin, diskName } from './inside.ts'
import { type Accelerator, lastWords, type Qemu, type QemuOptions, startQemu, there } from './qemu.ts'
import { saveState } from './saved-state.ts'

export type MachineOptions = QemuOptions & {
  readerSeconds: number
  /** Ends it while it starts. */
  signal: AbortSignal
  /** What it may take of the host; without one, its own memory and what QEMU needs beside it. */
  group: ControlGroup | undefined
  /** Where the state of one whose kernel started is saved, on the filesystem of `folder`. */
  saveTo: string
  /** Called when the reader of one whose kernel started is there, before its state is saved. */
  onReady: () => void
}

/** Of each step. Hardware that works has a reader answer in a second or two; without it that takes seven to ten, and longer on a busy host. */
const startTimeoutMs: Record<Accelerator, number> = { kvm: 15_000, tcg: 60_000 }

const inTime = async <T>(work: Promise<T>, accelerator: Accelerator): Promise<T> => {
  const ms = startTimeoutMs[accelerator]
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    // One that has ended otherwise keeps nobody from ending.
    timer = setTimeout(() => reject(new Error(`it did not start within ${ms / 1000} s`)), ms).unref()
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** @returns its reader, which answers */
const readerOf = async (
  { folder, accelerator, readerSeconds, signal, state, saveTo, onReady }: MachineOptions,
  qemu: Qemu,
): Promise<ReaderClient> => {
  const line = await inTime(qemu.line, accelerator)
  if (!state) {
    await inTime(once(line, 'data'), accelerator)
    line.pause()
    onReady()
    await saveState(qemu, join(folder, 'state'), saveTo).catch((error: Error) => {
      if (!signal.aborted)
        log.warn({ err: error }, 'the state of a throw-away machine could not be saved; others take longer to start')
    })
  }
  line.write(begin)
  const { process } = qemu.qmp
  const reader = new ReaderClient(overLine(line), readerSeconds * 1000, process)
  void process.ended.then(({ exitCode, signal }) =>
    reader.hasEnded(`the machine was ended by ${signal ?? `exit code ${exitCode}`}`),
  )
  await inTime(reader.hello(), accelerator)
  return reader
}

export class Machine {
  readonly reader: ReaderClient
  readonly #options: MachineOptions
  readonly #qemu: Qemu
  #disks = 0

  /** @throws Error that says what is missing */
  static async start(options: MachineOptions): Promise<Machine> {
    const { folder, accelerator, signal, group } = options
    const end = () => void qemu?.qmp.process.kill('SIGKILL')
    let qemu: Qemu | undefined
    try {
      qemu = await startQemu(options)
      const { process } = qemu.qmp
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
      await group?.takeIn(process.pid)
      const ended = process.ended.then(() => Promise.reject(new Error('QEMU has ended')))
      return new Machine(options, qemu, await Promise.race([readerOf(options, qemu), ended]))
    } catch (error) {
      const said = qemu && (await lastWords(qemu.qmp))
      await qemu?.qmp.process.stop(0)
      await group?.remove()
      await rm(folder, { recursive: true, force: true })
      throw new Error(`no throw-away machine could be started (${accelerator}): ${said || (error as Error).message}`, {
        cause: error,
      })
    } finally {
      signal.removeEventListener('abort', end)
    }
  }

  private constructor(options: MachineOptions, qemu: Qemu, reader: ReaderClient) {
    this.#options = options
    this.#qemu = qemu
    this.reader = reader
  }

  get accelerator(): Accelerator {
    return this.#options.accelerator
  }
  get isAlive(): boolean {
    return !this.#qemu.qmp.process.hasEnded()
  }
  /** Resolves with the reason when it has ended, whoever ended it. */
  get ended(): Promise<string> {
    return this.reader.ended
  }
  /** Folder of the host in which QEMU finds sockets. */
  get shared(): string {
    return this.#qemu.shared
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
      this.#qemu.qmp.execute('blockdev-add', node),
      this.#qemu.qmp.execute('device_add', {
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
    await this.#qemu.qmp.process.stop(0)
    await this.reader.close()
    await this.#options.group?.remove()
    await rm(this.#options.folder, { recursive: true, force: true })
  }
}
