/** Work that takes longer than one request: the same request again joins what runs, or takes the result of what has ended, once. */
import { log } from './log.ts'

/** What runs says how far it is in `state`, and is told by the signal that it is to stop. */
type Start<State> = (signal: AbortSignal) => { state: State; done: Promise<void> }
type Running<State> = { state: State; abort: AbortController; done: Promise<void>; isDone: boolean; trouble: unknown }

export class LongWork<State extends object> {
  readonly #running = new Map<string, Running<State>>()
  readonly #name: string

  /** @param name of one such work, for the log */
  constructor(name: string) {
    this.#name = name
  }

  /** @returns when it has ended, or after so long, how far it is @throws what ended it */
  async join(key: string, waitSeconds: number, start: Start<State>): Promise<State & { status: 'running' | 'done' }> {
    const work = this.#running.get(key) ?? this.#start(key, start)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitSeconds * 1000)
    })
    await Promise.race([work.done, late])
    clearTimeout(timer)
    if ((work.isDone || work.trouble !== undefined) && this.#running.get(key) === work) this.#running.delete(key)
    if (work.trouble !== undefined) throw work.trouble
    return { ...work.state, status: work.isDone ? 'done' : 'running' }
  }

  /** Ends it, if it runs, and forgets its result. */
  async stop(key: string): Promise<void> {
    const work = this.#running.get(key)
    this.#running.delete(key)
    work?.abort.abort(new Error(`the ${this.#name} was stopped`))
    await work?.done
  }

  async close(): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    for (const { abort } of all) abort.abort(new Error('the host-agent ends'))
    await Promise.all(all.map(({ done }) => done))
  }

  #start(key: string, start: Start<State>): Running<State> {
    const abort = new AbortController()
    const { state, done } = start(abort.signal)
    const work: Running<State> = { state, abort, done: Promise.resolve(), isDone: false, trouble: undefined }
    work.done = done.then(
      () => {
        work.isDone = true
      },
      (error: unknown) => {
        log.warn({ file: key, error: String(error) }, `a ${this.#name} ended early`)
        if (!abort.signal.aborted) work.trouble = error
      },
    )
    this.#running.set(key, work)
    return work
  }
}
