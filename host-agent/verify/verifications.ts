/** The checks of sealed files that run, or have ended and wait for somebody to take their result. */
import type { Damage, DiskFile, VerifyBody, VerifyState } from '../../contract/agent.ts'
import { LongWork } from '../long-work.ts'
import { keyOfFile, type Repositories } from '../repositories.ts'
import { checkFile } from './check-file.ts'

const damagesMax = 100

export class Verifications {
  readonly #checks = new LongWork<Omit<VerifyState, 'status'>>('check')
  readonly #repositories: Repositories
  constructor(repositories: Repositories) {
    this.#repositories = repositories
  }

  /** Starts or joins the check of the chain's newest file; its result is given once. @throws REPOSITORY_NOT_FOUND; what kept it from checking */
  async verify(body: VerifyBody): Promise<VerifyState> {
    const file = { ...body.chain, base: body.chain.bases[0]! }
    const now = await this.#checks.join(keyOfFile(file), body.wait_seconds, (signal) => this.#start(file, body, signal))
    return { ...now, damages: [...now.damages] }
  }

  stop(file: DiskFile): Promise<void> {
    return this.#checks.stop(keyOfFile(file))
  }

  close(): Promise<void> {
    return this.#checks.close()
  }

  #start(file: DiskFile, body: VerifyBody, signal: AbortSignal) {
    const state = { done_bytes: body.from_bytes, total_bytes: 0, damages: [] as Damage[] }
    const done = checkFile(
      {
        file,
        chain: this.#repositories.chainPaths(body.chain),
        manifestDigest: body.manifest_digest,
        fromBytes: body.from_bytes,
        bytesPerSecond: body.bytes_per_second,
      },
      {
        onSize: (bytes) => {
          state.total_bytes = bytes
        },
        onProgress: (bytes) => {
          state.done_bytes = bytes
        },
        onDamage: (damage) => {
          if (state.damages.length < damagesMax) state.damages.push(damage)
        },
      },
      signal,
    )
    return { state, done }
  }
}
