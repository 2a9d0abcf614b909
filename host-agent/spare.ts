/** Makes something that takes longer to make than to use: one always waits. */

/** Later than the mount that took the last one and the listing that follows it. */
const spareDelayMs = 150
/** Most such work is over by then. */
const busyDelayMs = 4_000
/** A host that was in trouble is often out of it by then. */
const retryMs = 5_000

type Made = { isAlive: boolean; close: () => Promise<void> }

export class Spare<T extends Made> {
  readonly #make: () => Promise<T>
  #spare: Promise<T> | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(make: () => Promise<T>) {
    this.#make = make
  }

  /** Makes the first. @throws what making it throws */
  async begin(): Promise<T> {
    this.#spare = this.#make()
    return await this.#spare
  }

  /**
   * The one that waits, or a new one; whoever takes it closes it.
   * @param isBusy whether it is taken for work that needs all processors for a while: the next one is made later then
   */
  async take(isBusy = false): Promise<T> {
    const taken = this.#spare
    this.#spare = undefined
    this.#prepareLater(isBusy ? busyDelayMs : spareDelayMs)
    const spare = await taken?.catch(() => undefined)
    return spare?.isAlive ? spare : this.#make()
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
      this.#prepareLater(retryMs)
    })
  }

  #prepareLater(delayMs: number) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#prepare(), delayMs).unref()
  }
}
