/** Merges of restore points into those that build on them: those that run, and who they make way for. */
import type { DiskChain, DiskFile, MergeBody, MergeState } from '../../contract/agent.ts'
import { HubError } from '../../contract/errors.ts'
import { LongWork } from '../long-work.ts'
import { keyOfFile, type Repositories } from '../repositories.ts'
import { checkMergeable, finishMerge, type MergePaths, prepareMerge } from './merge-file.ts'

type Disk = Omit<DiskChain, 'bases'>
/** Names of what has files of this disk's folder open. */
export type ChainUsers = (disk: Disk) => string[]
const nameOf = ({ repository_id, vm_backup_context_id, disk_index }: Disk) =>
  `${repository_id}/${vm_backup_context_id}/disk-${disk_index}`

export class Merges {
  readonly #merges = new LongWork<Omit<MergeState, 'status'>>('merge')
  /** The disks that merges write to. */
  readonly #busy = new Map<string, DiskFile>()
  /** Disks whose files are being opened by somebody else. */
  readonly #opening = new Map<symbol, string>()
  readonly #repositories: Repositories
  readonly #usersOf: ChainUsers

  constructor(repositories: Repositories, usersOf: ChainUsers) {
    this.#repositories = repositories
    this.#usersOf = usersOf
  }

  /** @throws CHAIN_BROKEN, CHAIN_IN_USE, INSUFFICIENT_STORAGE, REPOSITORY_NOT_FOUND */
  async merge(body: MergeBody): Promise<MergeState> {
    const file = { ...body.disk, base: body.base }
    const paths = this.#pathsOf(body)
    const none = { done_bytes: 0, total_bytes: 0, stored_bytes: 0 }
    if (body.step === 'check') {
      await checkMergeable(paths)
      return { ...none, status: 'done' }
    }
    const opening = [...this.#opening.values()].filter((name) => name === nameOf(body.disk))
    const users = [...opening, ...this.#usersOf(body.disk)]
    if (users.length > 0)
      throw new HubError('CHAIN_IN_USE', 'Files of this chain are in use', { details: users.join(', ').slice(0, 500) })
    if (body.step === 'finish') {
      const { storedBytes } = await finishMerge(paths)
      return { ...none, stored_bytes: storedBytes, status: 'done' }
    }
    const key = keyOfFile(file)
    this.#busy.set(key, file)
    const state = await this.#merges
      .join(key, body.wait_seconds, (signal) => this.#start(paths, body.stored_bytes, signal))
      .catch((error: unknown) => {
        this.#busy.delete(key)
        throw error
      })
    if (state.status === 'done') this.#busy.delete(key)
    return state
  }

  /**
   * Restores and backups go first: a merge that works on the disk ends, and begins anew later.
   * @param work opens files of the disk; once it has ended, whoever is asked for users names it
   */
  async makeWay<T>(disk: Disk, work: () => Promise<T>): Promise<T> {
    const opening = Symbol(nameOf(disk))
    this.#opening.set(opening, nameOf(disk))
    try {
      for (const [key, file] of this.#busy)
        if (nameOf(file) === nameOf(disk)) {
          await this.#merges.stop(key)
          this.#busy.delete(key)
        }
      return await work()
    } finally {
      this.#opening.delete(opening)
    }
  }

  close(): Promise<void> {
    return this.#merges.close()
  }

  #pathsOf({ disk, base, into_base, below_bases }: MergeBody): MergePaths {
    const path = (of: string) => this.#repositories.diskPath({ ...disk, base: of })
    return { child: path(into_base), parent: path(base), below: below_bases.map(path) }
  }

  #start(paths: MergePaths, totalBytes: number, signal: AbortSignal) {
    const state = { done_bytes: 0, total_bytes: totalBytes, stored_bytes: 0 }
    const onProgress = (share: number) => {
      state.done_bytes = Math.round(totalBytes * share)
    }
    return { state, done: prepareMerge(paths, onProgress, signal) }
  }
}
