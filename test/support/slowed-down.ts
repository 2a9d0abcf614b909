/** Work that would be over before anybody has looked. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** A hundredth of the time: what copies gigabytes a second takes seconds for hundreds of megabytes then. */
const [runMs, stopMs] = [2, 200]

/**
 * Lets a program's processes run a small part of the time only.
 * @param parent whose children they are
 * @returns what ends it; whatever still runs goes on by itself then
 */
export const slowDown = (parent: number, program: string): (() => Promise<void>) => {
  const worker = new Worker(new URL('./slow-down.mjs', import.meta.url), {
    workerData: { parent, program, runMs, stopMs },
  })
  return async () => {
    const over = once(worker, 'message')
    worker.postMessage('end')
    await over
    await worker.terminate()
  }
}
