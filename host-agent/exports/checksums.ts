/** Runs the checksum threads for one disk. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { blockCount, type CompareTask, type Mismatch } from './blocks.ts'
import type { ChecksumMessage, ChecksumTask } from './checksum-worker.ts'

/** A disk is split over this many threads: hashing is what takes the time. */
const threads = Math.min(4, Math.max(1, availableParallelism()))
/** Splitting pays from here on. */
const blocksPerThreadMin = 16
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './checksum-worker.ts' : './checksum-worker.js',
  import.meta.url,
)

/** A thread takes 30 ms to start, as long as it works on a small disk: those that have nothing to do wait so long for more. */
const idleMs = 10_000
/** With what ends their waiting. */
const idle = new Map<Worker, NodeJS.Timeout>()

const startThread = (): Worker => {
  const worker = new Worker(workerFile)
  // Whoever has it work hears of it, too.
  worker.on('error', () => undefined)
  worker.once('exit', () => {
    clearTimeout(idle.get(worker))
    idle.delete(worker)
  })
  return worker
}
const keepForLater = (worker: Worker) => {
  worker.unref()
  const end = () => {
    idle.delete(worker)
    void worker.terminate()
  }
  idle.set(worker, setTimeout(end, idle.size < threads ? idleMs : 0).unref())
}
const takeThread = (): Worker => {
  const [waiting] = idle.keys()
  if (!waiting) return startThread()
  clearTimeout(idle.get(waiting))
  idle.delete(waiting)
  waiting.ref()
  return waiting
}
/** For those who know that they will soon ask for checksums. */
export const startThreads = (): void => {
  while (idle.size < threads) keepForLater(startThread())
}

const runWorker = (
  task: ChecksumTask,
  onProgress: (done: number, found: Mismatch[]) => void,
  signal: AbortSignal,
): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error('the checksums were stopped'))
    const worker = takeThread()
    const abort = () => {
      void worker.terminate()
      done(() => reject(new Error('the checksums were stopped')))
    }
    const onMessage = (message: ChecksumMessage) => {
      if ('done' in message) return onProgress(message.done, message.found ?? [])
      keepForLater(worker)
      done(() => {
        if ('result' in message) return resolve(Buffer.from(message.result))
        const { details, message: text, code } = message.error
        reject(Object.assign(new Error(details || text), { code }))
      })
    }
    // What the files gave comes as a message; these are the thread's own.
    const onError = (cause: unknown) =>
      done(() => reject(Object.assign(new Error('a checksum thread failed', { cause }), { code: 'ERR_WORKER_FAILED' })))
    const onExit = () =>
      done(() => reject(Object.assign(new Error('a checksum thread died'), { code: 'ERR_WORKER_DIED' })))
    const done = (tell: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      signal.removeEventListener('abort', abort)
      tell()
    }
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    signal.addEventListener('abort', abort, { once: true })
    worker.postMessage(task)
  })

/**
 * Checksums of a whole disk, as the guest sees it.
 * @param paths of the chain's files, newest first
 * @param parentBlocks the parent's .blocks file; blocks that the newest file does not touch are taken from it
 * @param onProgress blocks done so far
 */
export const diskChecksums = async (
  { paths, virtualSize, parentBlocks }: { paths: string[]; virtualSize: number; parentBlocks: string | null },
  onProgress: (blocks: number) => void,
  signal: AbortSignal,
): Promise<Buffer> => {
  const blocks = blockCount(virtualSize)
  const parts = Math.max(1, Math.min(threads, Math.floor(blocks / blocksPerThreadMin)))
  const done = new Array<number>(parts).fill(0)
  const digests = await Promise.all(
    done.map(async (_, part) => {
      const from = Math.floor((blocks * part) / parts)
      const to = Math.floor((blocks * (part + 1)) / parts)
      const report = (count: number) => {
        done[part] = count
        onProgress(done.reduce((sum, one) => sum + one, 0))
      }
      const digests = await runWorker({ kind: 'digests', paths, parentBlocks, from, to }, report, signal)
      report(to - from)
      return digests
    }),
  )
  return Buffer.concat(digests)
}

/** See structureDigest in blocks.ts. */
export const structureChecksum = (path: string, signal: AbortSignal): Promise<Buffer> =>
  runWorker({ kind: 'structure', path }, () => undefined, signal)

/** See compareBlocks in blocks.ts. */
export const compareChecksums = async (
  task: CompareTask,
  onProgress: (nextBlock: number, found: Mismatch[]) => void,
  signal: AbortSignal,
): Promise<void> => {
  await runWorker({ kind: 'compare', ...task }, onProgress, signal)
}

/** See mergedDifference in blocks.ts. @returns what differs first; null: nothing does */
export const mergedDifference = async (child: string, merged: string, signal: AbortSignal): Promise<string | null> => {
  const found = await Promise.all(
    Array.from({ length: threads }, (_, part) =>
      runWorker({ kind: 'merged', child, merged, part, parts: threads }, () => undefined, signal),
    ),
  )
  return found.map((text) => text.toString('utf8')).find((text) => text !== '') ?? null
}
