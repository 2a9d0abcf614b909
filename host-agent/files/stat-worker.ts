/** A thread that looks at many files of a folder in one go; see stat-threads.ts. */
import { lstatSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { below } from './resolve.ts'

export type StatTask = { fd: number; names: Uint8Array }
/** Mode, size and change time (ns) of each name, in their order; or the code of the first error. */
export type StatResult = { stats: BigInt64Array } | { code: string }

const port = parentPort!
const statAll = ({ fd, names }: StatTask): StatResult => {
  const stats: bigint[] = []
  const all = Buffer.from(names.buffer, names.byteOffset, names.byteLength)
  for (let from = 0; from < all.length; ) {
    const end = all.indexOf(0, from)
    const { mode, size, mtimeNs } = lstatSync(below(fd, all.subarray(from, end)), { bigint: true })
    stats.push(mode, size, mtimeNs)
    from = end + 1
  }
  return { stats: BigInt64Array.from(stats) }
}

port.on('message', (task: StatTask) => {
  let result: StatResult
  try {
    result = statAll(task)
  } catch (error) {
    result = { code: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
  port.postMessage(result)
})
