/** A qemu-storage-daemon that is told what to export over QMP, on its standard input and output. */
import { createInterface } from 'node:readline'
import { HubError } from '../../contract/errors.ts'
import { type Daemon, type DaemonOptions, program, startDaemon } from '../exec.ts'

/** A command takes milliseconds; opening a chain of 1000 files on a slow disk takes longer. */
const answerTimeoutMs = 15_000

/** QEMU refused a command. */
class QmpError extends Error {
  override readonly name = 'QmpError'
}

/** QEMU's own words, without the paths of this host. */
const withoutPaths = (text: string) => text.trim().replace(/\/\S+\//g, '')

/** What QEMU refuses of a disk is the disk's fault. */
const ofTheDisk = async (say: () => Promise<unknown>[]): Promise<void> => {
  const said = say()
  await Promise.allSettled(said)
  await Promise.all(said).catch((error: unknown) => {
    if (!(error instanceof QmpError)) throw error
    throw new HubError('CHAIN_BROKEN', 'The disk can not be opened', { details: withoutPaths(error.message) })
  })
}

/** A block node with the name that QEMU is to know it by. */
export type NamedNode = Record<string, unknown> & { 'node-name': string }

type Answer = { return?: unknown; error?: { desc: string }; id?: number }

export class StorageDaemon {
  readonly process: Daemon
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #nextId = 1

  /** @param place the command that runs it where it is to run */
  static async start(options: Omit<DaemonOptions, 'isTalkedTo'> = {}, place: string[] = []): Promise<StorageDaemon> {
    const monitor = ['--chardev', 'stdio,id=qmp', '--monitor', 'chardev=qmp']
    const [tool, ...args] = [...place, program.qemuStorageDaemon, ...monitor]
    return new StorageDaemon(await startDaemon(tool!, args, { ...options, isTalkedTo: true }))
  }

  private constructor(daemon: Daemon) {
    this.process = daemon
    createInterface({ input: daemon.output! }).on('line', (line) => this.#onLine(line))
    // A daemon that has gone answers nothing: its end answers for it.
    daemon.input!.on('error', () => undefined)
    void daemon.ended.then(({ stderr }) => {
      const error = { desc: `qemu-storage-daemon has ended: ${stderr.trim()}` }
      for (const answer of this.#waiting.values()) answer({ error })
    })
    // Until then it takes no other command. What it greets with says nothing that we need.
    this.execute('qmp_capabilities').catch(() => undefined)
  }

  /** @throws QmpError with QEMU's own words */
  execute(command: string, args: object = {}): Promise<unknown> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#waiting.get(id)?.({ error: { desc: 'no answer in time' } }),
        answerTimeoutMs,
      ).unref()
      this.#waiting.set(id, ({ error, return: result }) => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        if (error) reject(new QmpError(error.desc))
        else resolve(result)
      })
      if (this.process.hasEnded()) this.#waiting.get(id)?.({ error: { desc: 'qemu-storage-daemon has ended' } })
      else this.process.input!.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    })
  }

  /**
   * Adds a block node and shows it as a file.
   * @param file there already
   * @throws CHAIN_BROKEN in QEMU's own words
   */
  show(node: NamedNode, file: string, writable: boolean): Promise<void> {
    return this.#export(node, { type: 'fuse', mountpoint: file, writable })
  }

  /** Adds a block node and gives it to NBD clients at a new socket. @throws CHAIN_BROKEN in QEMU's own words */
  async serve(node: NamedNode, socket: string, writable: boolean): Promise<void> {
    await this.execute('nbd-server-start', { addr: { type: 'unix', data: { path: socket } } })
    await this.#export(node, { type: 'nbd', name: node['node-name'], writable })
  }

  /** Ends it so that all that it took is in its files. */
  async stop(graceMs: number): Promise<void> {
    this.execute('quit').catch(() => undefined)
    const timer = setTimeout(() => this.process.kill('SIGKILL'), graceMs)
    await this.process.ended
    clearTimeout(timer)
  }

  #export(node: NamedNode, how: { type: string; writable: boolean; [option: string]: unknown }): Promise<void> {
    const name = node['node-name']
    // Both at once: QEMU takes them in order, and the second fails when the first did.
    return ofTheDisk(() => [
      this.execute('blockdev-add', node),
      this.execute('block-export-add', { id: `export-${name}`, 'node-name': name, ...how }),
    ])
  }

  #onLine(line: string) {
    const answer = JSON.parse(line) as Answer
    // Events carry no id.
    if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
  }
}
