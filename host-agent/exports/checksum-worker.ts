/** A thread that computes checksums, so that the agent answers meanwhile. */
import { parentPort, workerData } from 'node:worker_threads'
import { type DigestTask, digestBlocks } from './blocks.ts'

const port = parentPort!
const digests = digestBlocks(workerData as DigestTask, (done) => port.postMessage({ done }))
port.postMessage({ digests })
