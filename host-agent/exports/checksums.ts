/** Runs the checksum threads for one disk. */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { blockCount, type DigestTask } from './blocks.ts'

/** A disk is split over this many threads: hashing is what takes the time. */
const threads = Math.min(4, Math.max(1, availableParallelism()))
/** Splitting pays from here on. */
const blocksPerThreadMin = 16
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './checksum-worker.ts' : './checksum-worker.js',
  import.meta.url,
)

type Message = { done: number } | { digests: Uint8Array }

const runWorker = (task: DigestTask, onProgress: (done: number) => void, signal: AbortSignal): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(workerFile, { workerData: task })
    const abort = () => {
      void worker.terminate()
      reject(new Error('the seal was stopped'))
    }
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    worker.on('message', (message: Message) => {
      if ('done' in message) return onProgress(message.done)
      onProgress(task.to - task.from)
      resolve(Buffer.from(message.digests))
    })
    worker.on('error', reject)
    worker.on('exit', (code) => {
      signal.removeEventListener('abort', abort)
      if (code !== 0) reject(new Error('a checksum thread died'))
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
    done.map((_, part) => {
      const from = Math.floor((blocks * part) / parts)
      const to = Math.floor((blocks * (part + 1)) / parts)
      return runWorker(
        { paths, parentBlocks, from, to },
        (count) => {
          done[part] = count
          onProgress(done.reduce((sum, one) => sum + one, 0))
        },
        signal,
      )
    }),
  )
  return Buffer.concat(digests)
}
