/**
 * Looks at many files of a folder at once. Asking for each by itself takes the event loop ten times as long as the filesystem, and a
 * filesystem that hangs would hold a thread of the common pool for each; here it holds one thread, which nobody else waits for.
 */
import { Worker } from 'node:worker_threads'
import { HubError } from '../../contract/errors.ts'
import type { FileStat } from './entries.ts'
import type { StatResult, StatTask } from './stat-worker.ts'

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './stat-worker.ts' : './stat-worker.js', import.meta.url)
const idle: Worker[] = []

const takeWorker = (): Worker => {
  const worker = idle.pop() ?? new Worker(workerFile)
  worker.ref()
  return worker
}
const giveBack = (worker: Worker) => {
  worker.unref()
  idle.push(worker)
}

/** Starts a thread ahead of its first use. */
export const warmUpStatThreads = () => giveBack(takeWorker())

/**
 * lstat of names in an open folder.
 * @throws SERVICE_UNAVAILABLE when the filesystem gives an error
 */
export const statMany = (fd: number, names: readonly Buffer[]): Promise<FileStat[]> =>
  new Promise((resolve, reject) => {
    if (names.length === 0) return resolve([])
    const worker = takeWorker()
    const fail = (code: string) =>
      reject(new HubError('SERVICE_UNAVAILABLE', "The guest's filesystem can not be read here", { details: code }))
    const onMessage = (result: StatResult) => {
      worker.off('error', onError)
      giveBack(worker)
      if ('code' in result) return fail(result.code)
      const { stats } = result
      resolve(names.map((_, at) => ({ mode: stats[at * 3]!, size: stats[at * 3 + 1]!, mtimeNs: stats[at * 3 + 2]! })))
    }
    const onError = (error: Error) => {
      worker.off('message', onMessage)
      fail(String(error))
    }
    worker.once('message', onMessage)
    worker.once('error', onError)
    // No name holds a NUL.
    const zero = Buffer.alloc(1)
    const task: StatTask = { fd, names: new Uint8Array(Buffer.concat(names.flatMap((name) => [name, zero]))) }
    worker.postMessage(task, [task.names.buffer as ArrayBuffer])
  })
