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

const runWorker = (
  task: ChecksumTask,
  onProgress: (done: number, found: Mismatch[]) => void,
  signal: AbortSignal,
): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(workerFile, { workerData: task })
    const abort = () => {
      void worker.terminate()
      reject(new Error('the checksums were stopped'))
    }
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    worker.on('message', (message: ChecksumMessage) => {
      if ('done' in message) onProgress(message.done, message.found ?? [])
      else if ('error' in message)
        reject(Object.assign(new Error(message.error.details || message.error.message), { code: message.error.code }))
      else resolve(Buffer.from(message.result))
    })
    // What the files gave comes as a message; this is the thread's own.
    worker.on('error', (cause) =>
      reject(Object.assign(new Error('a checksum thread failed', { cause }), { code: 'ERR_WORKER_FAILED' })),
    )
    worker.on('exit', (code) => {
      signal.removeEventListener('abort', abort)
      if (code !== 0) reject(Object.assign(new Error('a checksum thread died'), { code: 'ERR_WORKER_DIED' }))
    })
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

/** See mergedDifference in blocks.ts. @returns what differs; null: nothing does */
export const mergedDifference = async (child: string, merged: string, signal: AbortSignal): Promise<string | null> =>
  (await runWorker({ kind: 'merged', child, merged }, () => undefined, signal)).toString('utf8') || null
