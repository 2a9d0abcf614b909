/** A thread that computes checksums, so that the agent answers meanwhile. */
import { parentPort, workerData } from 'node:worker_threads'
import {
  type CompareTask,
  compareBlocks,
  type DigestTask,
  digestBlocks,
  type Mismatch,
  structureDigest,
} from './blocks.ts'

export type ChecksumTask =
  | ({ kind: 'digests' } & DigestTask)
  | { kind: 'structure'; path: string }
  | ({ kind: 'compare' } & CompareTask)
/** `done`: blocks so far. The last message is the result: digests, or nothing after a comparison. */
export type ChecksumMessage = { done: number; found?: Mismatch[] } | { result: Uint8Array }

const port = parentPort!
const say = (message: ChecksumMessage) => port.postMessage(message)
const task = workerData as ChecksumTask
switch (task.kind) {
  case 'digests':
    say({ result: digestBlocks(task, (done) => say({ done })) })
    break
  case 'structure':
    say({ result: structureDigest(task.path) })
    break
  case 'compare':
    compareBlocks(task, (done, found) => say({ done, found }))
    say({ result: new Uint8Array() })
}
