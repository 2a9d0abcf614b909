/** The checks of sealed files that run, or have ended and wait for somebody to take their result. */
import type { Damage, DiskFile, VerifyBody, VerifyState } from '../../contract/agent.ts'
import { log } from '../log.ts'
import type { Repositories } from '../repositories.ts'
import { checkFile } from './check-file.ts'

type Check = { state: VerifyState; abort: AbortController; done: Promise<void>; trouble: unknown }

const damagesMax = 100

export class Verifications {
  readonly #checks = new Map<string, Check>()
  readonly #repositories: Repositories
  constructor(repositories: Repositories) {
    this.#repositories = repositories
  }

  /** Starts or joins the check of the chain's newest file; its result is given once. @throws REPOSITORY_NOT_FOUND; what kept it from checking */
  async verify(body: VerifyBody): Promise<VerifyState> {
    const file = { ...body.chain, base: body.chain.bases[0]! }
    const key = keyOf(file)
    const check = this.#checks.get(key) ?? this.#start(key, file, body)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, body.wait_seconds * 1000)
    })
    await Promise.race([check.done, late])
    clearTimeout(timer)
    const isOver = check.state.status === 'done' || check.trouble !== undefined
    if (isOver && this.#checks.get(key) === check) this.#checks.delete(key)
    if (check.trouble !== undefined) throw check.trouble
    return { ...check.state, damages: [...check.state.damages] }
  }

  async stop(file: DiskFile): Promise<void> {
    const key = keyOf(file)
    const check = this.#checks.get(key)
    this.#checks.delete(key)
    check?.abort.abort(new Error('the check was stopped'))
    await check?.done
  }

  async close(): Promise<void> {
    const checks = [...this.#checks.values()]
    this.#checks.clear()
    for (const { abort } of checks) abort.abort(new Error('the host-agent ends'))
    await Promise.all(checks.map(({ done }) => done))
  }

  #start(key: string, file: DiskFile, body: VerifyBody): Check {
    const state: VerifyState = { status: 'running', done_bytes: body.from_bytes, total_bytes: 0, damages: [] }
    const abort = new AbortController()
    const work = checkFile(
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
        onDamage: (damage: Damage) => {
          if (state.damages.length < damagesMax) state.damages.push(damage)
        },
      },
      abort.signal,
    )
    const check: Check = { state, abort, done: Promise.resolve(), trouble: undefined }
    check.done = work.then(
      () => {
        state.status = 'done'
      },
      (error: unknown) => {
        log.warn({ file: file.base, error: String(error) }, 'a check was stopped')
        if (!abort.signal.aborted) check.trouble = error
      },
    )
    this.#checks.set(key, check)
    return check
  }
}

const keyOf = (file: DiskFile) => `${file.repository_id}/${file.vm_backup_context_id}/${file.disk_index}/${file.base}`
