/** A QEMU program that is told what to do over QMP, on its standard input and output (docs/interop/qmp-spec.txt of QEMU). */
import { createInterface } from 'node:readline'
import { HubError } from '../../contract/errors.ts'
import type { Daemon } from '../exec.ts'

/** A command takes milliseconds; opening a chain of 1000 files on a slow disk takes longer. */
const answerTimeoutMs = 15_000

/** QEMU refused a command. */
class QmpError extends Error {
  override readonly name = 'QmpError'
}

/** QEMU's own words, without the paths of this host. */
const withoutPaths = (text: string) => text.trim().replace(/\/\S+\//g, '')

/** What QEMU refuses of a disk is the disk's fault. */
export const ofTheDisk = async (say: () => Promise<unknown>[]): Promise<void> => {
  const said = say()
  await Promise.allSettled(said)
  await Promise.all(said).catch((error: unknown) => {
    if (!(error instanceof QmpError)) throw error
    throw new HubError('CHAIN_BROKEN', 'The disk can not be opened', { details: withoutPaths(error.message) })
  })
}

type Answer = { return?: unknown; error?: { desc: string }; id?: number }

export class QmpProcess {
  readonly process: Daemon
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #nextId = 1

  /** @param daemon started to be talked to, its monitor on what it is talked to by */
  constructor(daemon: Daemon) {
    this.process = daemon
    createInterface({ input: daemon.output! }).on('line', (line) => this.#onLine(line))
    // A daemon that has gone answers nothing: its end answers for it.
    daemon.input!.on('error', () => undefined)
    void daemon.ended.then(({ stderr }) => {
      const error = { desc: `QEMU has ended: ${stderr.trim()}` }
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
      if (this.process.hasEnded()) this.#waiting.get(id)?.({ error: { desc: 'QEMU has ended' } })
      else this.process.input!.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    })
  }

  #onLine(line: string) {
    const answer = JSON.parse(line) as Answer
    // Events carry no id.
    if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
  }
}
