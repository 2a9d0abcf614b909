/** A thread that computes checksums, one task after the other, so that the agent answers meanwhile. */
import { parentPort } from 'node:worker_threads'
import {
  type CompareTask,
  compareBlocks,
  type DigestTask,
  digestBlocks,
  type MergedTask,
  type Mismatch,
  mergedDifference,
  structureDigest,
} from './blocks.ts'

export type ChecksumTask =
  | ({ kind: 'digests' } & DigestTask)
  | { kind: 'structure'; path: string }
  | ({ kind: 'compare' } & CompareTask)
  | ({ kind: 'merged' } & MergedTask)
/** `done`: blocks so far. The last message is the result (digests, what differs, or nothing after a comparison) or what the files gave instead. */
export type ChecksumMessage = { done: number; found?: Mismatch[] } | { result: Uint8Array } | { error: ChecksumError }

/** What crosses threads of an Error with a code, a HubError's details among it. */
export type ChecksumError = { message: string; code: string | undefined; details: string | undefined }

const port = parentPort!
const say = (message: ChecksumMessage) => port.postMessage(message)
const run = (task: ChecksumTask): Uint8Array => {
  switch (task.kind) {
    case 'digests':
      return digestBlocks(task, (done) => say({ done }))
    case 'structure':
      return structureDigest(task.path)
    case 'compare':
      compareBlocks(task, (done, found) => say({ done, found }))
      return new Uint8Array()
    case 'merged':
      return Buffer.from(mergedDifference(task) ?? '')
  }
}
port.on('message', (task: ChecksumTask) => {
  try {
    say({ result: run(task) })
  } catch (error) {
    const { message, code, details } = error as NodeJS.ErrnoException & { details?: string }
    say({ error: { message, code, details } })
  }
})
