/** A QEMU program that is told what to do over QMP, on its standard input and output (docs/interop/qmp-spec.txt of QEMU). */
import { HubError } from '../../contract/errors.ts'
import type { Daemon } from '../exec.ts'

/** A command takes milliseconds; opening a chain of 1000 files on a slow disk takes longer. */
const answerTimeoutMs = 15_000
/** Answers are a few hundred characters; a machine's last words some thousand. */
const answerCharactersMax = 1024 * 1024

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

type Answer = { return?: unknown; error?: { desc?: unknown }; id?: unknown }
type Waiting = { resolve: (result: unknown) => void; reject: (error: Error) => void }

const unavailable = (details: string) =>
  new HubError('SERVICE_UNAVAILABLE', 'What shows the disk does not answer', { details })

export class QmpProcess {
  readonly process: Daemon
  readonly #waiting = new Map<unknown, Waiting>()
  #nextId = 1
  /** Of an answer that is not at its end. */
  #begun = ''

  /** @param daemon started to be talked to, its monitor on what it is talked to by */
  constructor(daemon: Daemon) {
    this.process = daemon
    daemon.output!.setEncoding('utf8').on('data', (text: string) => this.#onText(text))
    // A daemon that has gone answers nothing: its end answers for it.
    daemon.input!.on('error', () => undefined)
    void daemon.ended.then(({ stderr }) => this.#failAll(new QmpError(`QEMU has ended: ${stderr.trim()}`)))
    // Until then it takes no other command. What it greets with says nothing that we need.
    this.execute('qmp_capabilities').catch(() => undefined)
  }

  /** @throws QmpError with QEMU's own words; SERVICE_UNAVAILABLE when it does not answer, or says nonsense */
  async execute(command: string, args: object = {}): Promise<unknown> {
    if (this.process.hasEnded()) throw new QmpError('QEMU has ended')
    const id = this.#nextId++
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject })
        timer = setTimeout(() => reject(unavailable('no answer in time')), answerTimeoutMs).unref()
        this.process.input!.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
      })
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
  }

  #failAll(error: Error) {
    for (const { reject } of this.#waiting.values()) reject(error)
  }

  /** Whoever has taken over a driver may speak in the name of the QEMU beside it. */
  #onText(text: string) {
    const lines = (this.#begun + text).split('\n')
    this.#begun = lines.pop()!
    try {
      if (this.#begun.length > answerCharactersMax) throw new Error('too long')
      for (const line of lines) if (line.trim() !== '') this.#onAnswer(JSON.parse(line) as Answer)
    } catch {
      this.process.output!.destroy()
      this.process.kill('SIGKILL')
      this.#failAll(unavailable('it says what can not be'))
    }
  }

  #onAnswer({ id, error, return: result }: Answer) {
    // Events carry no id.
    const waiting = this.#waiting.get(id)
    if (error) waiting?.reject(new QmpError(String(error.desc)))
    else waiting?.resolve(result)
  }
}
