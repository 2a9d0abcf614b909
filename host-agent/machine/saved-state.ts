/** The state of a machine that has started and waits, in a file: others go on from it in a fraction of the time that starting takes. Nothing of a guest was near it. */
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { listen, type Qemu, there } from './qemu.ts'

const socketName = 'state.sock'
/** In bytes a second: next to nothing while its kernel tells which pages are free; then there is nothing to be kept waiting by it. */
const [bandwidthMin, bandwidthMax] = [10, 16 * 1024 ** 3]
const pollMs = 5
/** Between two that are told pass less; all of them take 25 ms, or a second on a busy host. */
const [tellingMs, tellingMsMax] = [50, 2000]
/** A disk that takes longer for it has other things to do. */
const timeoutMs = 30_000

/** MigrationInfo of QEMU's qapi/migration.json. @property ram in bytes */
type Migration = { status?: string; 'error-desc'?: string; ram?: { total: number; remaining: number } }

/**
 * Writes it, and lets the machine go on.
 * @param fresh where it is written, of the file system of `path`
 * @throws Error that says why it could not be; the machine goes on nevertheless
 */
export const saveState = async ({ qmp, shared }: Qemu, fresh: string, path: string): Promise<void> => {
  const signal = AbortSignal.timeout(timeoutMs)
  const listener = await listen(join(shared, socketName), signal)
  try {
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': bandwidthMin })
    await qmp.execute('migrate', { uri: `unix:${there.shared}/${socketName}` })
    await freePagesKnown(qmp)
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': bandwidthMax })
    await pipeline(await listener.connected, createWriteStream(fresh, { mode: 0o600 }), { signal })
    await completed(qmp)
    await rename(fresh, path)
  } finally {
    listener.close()
    await rm(fresh, { force: true })
    await qmp.execute('cont')
  }
}

/**
 * Waits until its kernel has told which pages are free (free-page-hint of virtio-balloon): they are not saved. To look at one of them takes memory from the host, here and in those that go on from the
 * state. One that does not tell in time is saved with all of them.
 */
const freePagesKnown = async (qmp: Qemu['qmp']) => {
  const until = performance.now() + tellingMsMax
  for (let before: number | undefined; performance.now() < until; await sleep(tellingMs)) {
    const { ram } = (await qmp.execute('query-migrate')) as Migration
    if (ram && ram.remaining < ram.total && ram.remaining === before) return
    before = ram?.remaining
  }
}

/** QEMU has said all a moment before it knows that it has. */
const completed = async (qmp: Qemu['qmp']) => {
  for (;;) {
    const { status, 'error-desc': why } = (await qmp.execute('query-migrate')) as Migration
    if (status === 'completed') return
    if (status === 'failed') throw new Error(why ?? 'QEMU did not say all of it')
    await sleep(pollMs)
  }
}
