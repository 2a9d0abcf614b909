/** A thread of slowed-down.ts: its timers are not kept waiting by what a test does meanwhile. */
import { readFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

const { parent, program, runMs, stopMs } = workerData
const clock = new Int32Array(new SharedArrayBuffer(4))
const sleep = (ms) => Atomics.wait(clock, 0, 0, ms)

const textOf = (path) => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It has ended.
  }
}
const tell = (kind) => {
  for (const child of textOf(`/proc/${parent}/task/${parent}/children`).split(' ')) {
    if (child === '' || !textOf(`/proc/${child}/cmdline`).startsWith(`${program}\0`)) continue
    try {
      process.kill(Number(child), kind)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error // It ended just now.
    }
  }
}
const turn = () => {
  tell('SIGSTOP')
  sleep(stopMs)
  tell('SIGCONT')
  sleep(runMs)
  next = setImmediate(turn)
}
let next = setImmediate(turn)
parentPort.once('message', () => {
  clearImmediate(next)
  parentPort.postMessage('over')
})
