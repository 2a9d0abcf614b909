/** Makes something that takes longer to make than to use: one always waits. */

/** The listing that follows a mount comes first. */
const listingMs = 150
/** The next is not kept waiting for longer, whatever becomes of whoever took the last one. */
const giveWayMs = 4_000
/** A host that was in trouble is often out of it by then. */
const retryMs = 5_000

type Made = { isAlive: boolean; close: () => Promise<void> }

export class Spare<T extends Made> {
  readonly #make: () => Promise<T>
  #spare: Promise<T> | undefined
  #timer: NodeJS.Timeout | undefined
  #isDue = false

  constructor(make: () => Promise<T>) {
    this.#make = make
  }

  /** Makes the first. @throws what making it throws */
  async begin(): Promise<T> {
    this.#spare = this.#make()
    return await this.#spare
  }

  /** The one that waits, or a new one; whoever takes it closes it, and says by `makeNext` when the processors are needed no longer. */
  async take(): Promise<T> {
    const taken = this.#spare
    this.#spare = undefined
    this.#isDue = true
    this.#prepareIn(giveWayMs)
    const spare = await taken?.catch(() => undefined)
    return spare?.isAlive ? spare : this.#make()
  }

  /** Has the next one made, after one was taken. Idempotent. */
  makeNext(): void {
    if (this.#isDue) this.#prepareIn(listingMs)
    this.#isDue = false
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await (await this.#spare?.catch(() => undefined))?.close()
  }

  #prepare() {
    // One that failed after it was taken had asked for another, and somebody else may have made that already.
    if (this.#spare) return
    const spare = this.#make()
    this.#spare = spare
    spare.catch(() => {
      if (this.#spare === spare) this.#spare = undefined
      // Also to tidy up what was left of it.
      this.#prepareIn(retryMs)
    })
  }

  #prepareIn(delayMs: number) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#prepare(), delayMs).unref()
  }
}
