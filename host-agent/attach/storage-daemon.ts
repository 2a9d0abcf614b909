/** A qemu-storage-daemon that is told what to export over QMP, on its standard input and output. */
import { createInterface } from 'node:readline'
import { type Daemon, program, startDaemon } from '../exec.ts'

/** A command takes milliseconds; opening a chain of 1000 files on a slow disk takes longer. */
const answerTimeoutMs = 15_000

/** QEMU refused a command. */
export class QmpError extends Error {
  override readonly name = 'QmpError'
}

type Answer = { return?: unknown; error?: { desc: string }; id?: number }

export class StorageDaemon {
  readonly process: Daemon
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #nextId = 1

  /** @param fileBytesMax largest file that it may write */
  static async start(options: { fileBytesMax?: number } = {}): Promise<StorageDaemon> {
    const daemon = await startDaemon(
      program.qemuStorageDaemon,
      ['--chardev', 'stdio,id=qmp', '--monitor', 'chardev=qmp'],
      { ...options, isTalkedTo: true },
    )
    return new StorageDaemon(daemon)
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

  #onLine(line: string) {
    const answer = JSON.parse(line) as Answer
    // Events carry no id.
    if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
  }
}
