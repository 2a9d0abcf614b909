/**
 * Looks after network shares: one that does not answer is known as such, so that nobody else waits for it. Everybody who touches a hung share
 * holds a thread until its time is up, and there are only so many threads.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { log } from './log.ts'

const everyMs = 10_000
const answerMs = 5_000

export class StorageWatch {
  readonly #hung = new Set<string>()
  readonly #looking = new Map<string, Promise<void>>()
  readonly #timer: NodeJS.Timeout
  readonly #ids: () => string[]
  readonly #look: (id: string) => Promise<void>

  /** @param look touches the share, in a process of its own, and mounts it when it is not mounted; rejects when it is not there */
  constructor(ids: () => string[], look: (id: string) => Promise<void>) {
    this.#ids = ids
    this.#look = look
    this.#timer = setInterval(() => void this.run(), everyMs).unref()
  }

  isHung(id: string): boolean {
    return this.#hung.has(id)
  }

  /** One look at each; whoever does not answer in time is hung until it does. */
  async run(): Promise<void> {
    await Promise.all(this.#ids().map((id) => this.look(id)))
  }

  async look(id: string): Promise<void> {
    // One that is still waiting for its answer is not asked again.
    const look = this.#looking.get(id) ?? this.#begin(id)
    await Promise.race([look, sleep(answerMs, undefined, { ref: false })])
    if (this.#looking.has(id)) this.#note(id, 'it does not answer')
  }

  forget(id: string) {
    this.#hung.delete(id)
  }

  close() {
    clearInterval(this.#timer)
  }

  #begin(id: string): Promise<void> {
    const look = this.#look(id)
      .then(
        () => this.#note(id, undefined),
        (error: Error & { details?: string }) => this.#note(id, error.details || error.message),
      )
      .finally(() => this.#looking.delete(id))
    this.#looking.set(id, look)
    return look
  }

  #note(id: string, problem: string | undefined) {
    if (problem === undefined) {
      if (this.#hung.delete(id)) log.info({ repository: id }, 'a network share answers again')
    } else if (!this.#hung.has(id)) {
      this.#hung.add(id)
      log.error({ repository: id, problem }, 'a network share can not be reached')
    }
  }
}
