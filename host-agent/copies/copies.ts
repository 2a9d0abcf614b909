/** Copies of sealed files into other repositories: those that run, and how far those are that were cut off. */
import { createHash } from 'node:crypto'
import type { CopyBody, CopyState, DiskFile } from '../../contract/agent.ts'
import { Ledger } from '../ledger.ts'
import { LongWork } from '../long-work.ts'
import { keyOfFile, type Repositories } from '../repositories.ts'
import { copyDiskFile } from './copy-file.ts'

/** A copy that is under way: it goes on behind what is on the disk, whatever happened since. */
type Entry = { target: DiskFile; source_repository_id: string; synced_bytes: number }

const nameOf = (target: DiskFile) => createHash('sha256').update(keyOfFile(target)).digest('hex').slice(0, 40)

export class Copies {
  readonly #copies = new LongWork<Omit<CopyState, 'status'>>('copy')
  readonly #repositories: Repositories
  readonly #ledger: Ledger<Entry>
  readonly #known = new Map<string, Entry>()

  constructor(stateDir: string, repositories: Repositories) {
    this.#repositories = repositories
    this.#ledger = new Ledger(stateDir, 'copies')
  }

  async open(): Promise<void> {
    await this.#ledger.open()
    for (const [name, entry] of await this.#ledger.all()) this.#known.set(name, entry)
  }

  /** Starts or joins the copy of a file. @throws REPOSITORY_NOT_FOUND, CHAIN_BROKEN, INSUFFICIENT_STORAGE */
  copy(body: CopyBody): Promise<CopyState> {
    const target = { ...body.file, repository_id: body.to_repository_id }
    return this.#copies.join(keyOfFile(target), body.wait_seconds, (signal) => this.#start(body, target, signal))
  }

  /** Ends the copy into this file, and forgets how far it was. */
  async stop(target: DiskFile): Promise<void> {
    await this.#copies.stop(keyOfFile(target))
    await this.#forget(nameOf(target))
  }

  close(): Promise<void> {
    return this.#copies.close()
  }

  async #forget(name: string): Promise<void> {
    if (this.#known.delete(name)) await this.#ledger.remove(name)
  }

  #start(body: CopyBody, target: DiskFile, signal: AbortSignal) {
    const state = { done_bytes: 0, total_bytes: 0 }
    return { state, done: this.#run(body, target, state, signal) }
  }

  async #run(body: CopyBody, target: DiskFile, state: Omit<CopyState, 'status'>, signal: AbortSignal): Promise<void> {
    const [source, path, name] = [
      this.#repositories.diskPath(body.file),
      this.#repositories.diskPath(target),
      nameOf(target),
    ]
    const known = this.#known.get(name)
    const entry = (synced_bytes: number): Entry => ({
      target,
      source_repository_id: body.file.repository_id,
      synced_bytes,
    })
    const note = async (syncedBytes: number) => {
      this.#known.set(name, entry(syncedBytes))
      await this.#ledger.put(name, entry(syncedBytes))
    }
    const syncedBytes = known?.source_repository_id === body.file.repository_id ? known.synced_bytes : 0
    await this.#repositories.ensureDiskFolder(target)
    await note(syncedBytes)
    await copyDiskFile(
      {
        source,
        target: path,
        manifestDigest: body.manifest_digest,
        syncedBytes,
        replace: body.replace,
        bytesPerSecond: body.bytes_per_second,
      },
      {
        onSize: (bytes) => {
          state.total_bytes = bytes
        },
        onProgress: (bytes) => {
          state.done_bytes = bytes
        },
        onSynced: note,
      },
      signal,
    )
    await this.#forget(name)
  }
}
