/** Calls the hub back, again and again while it is away; a hub that says the job has ended is obeyed. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StartRequest } from '../contract/node.ts'

/** The hub has ended the job: stop. */
export class JobEnded extends Error {
  override readonly name = 'JobEnded'
}

/** Contract section 24: at least 5 minutes. */
const retryForMs = 15 * 60 * 1000
const pauseMaxMs = 15_000
const answerTimeoutMs = 240_000

type Answer = { status: number; body: Record<string, unknown> }

export class Callbacks {
  readonly #hubUrl: string
  readonly #token: string
  readonly #signal: AbortSignal
  constructor({ hub_url, callback_token }: Pick<StartRequest, 'hub_url' | 'callback_token'>, signal: AbortSignal) {
    this.#hubUrl = hub_url.replace(/\/+$/, '').replace(/\/api\/v1$/, '')
    this.#token = callback_token
    this.#signal = signal
  }

  /** @returns the hub's answer, whatever it is, unless it is its own failure: then it is asked again */
  async call(method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> {
    const until = performance.now() + retryForMs
    for (let pauseMs = 200; ; pauseMs = Math.min(pauseMaxMs, pauseMs * 2)) {
      let problem: string
      try {
        const answer = await this.#once(method, path, body)
        if (answer.status < 500 && answer.status !== 429) return answer
        problem = `the hub answered ${answer.status}`
      } catch (error) {
        if (error instanceof JobEnded) throw error
        this.#signal.throwIfAborted()
        problem = `the hub can not be reached: ${String((error as { cause?: unknown }).cause ?? error)}`
      }
      if (performance.now() + pauseMs > until) throw new Error(problem)
      await sleep(pauseMs, undefined, { signal: this.#signal })
    }
  }

  /** One try, for reports that the next one makes up for. */
  async tryOnce(path: string, body: object): Promise<Answer | undefined> {
    return this.#once('POST', path, body).catch((error: unknown) => {
      if (error instanceof JobEnded) throw error
      return undefined
    })
  }

  async #once(method: string, path: string, body?: object): Promise<Answer> {
    const response = await fetch(`${this.#hubUrl}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.#token}`, ...(body ? { 'Content-Type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
      redirect: 'error',
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(answerTimeoutMs)]),
    })
    const answer = {
      status: response.status,
      body: (await response.json().catch(() => ({}))) as Record<string, unknown>,
    }
    if (response.status === 409 && answer.body.code === 'JOB_ENDED')
      throw new JobEnded(`the hub has ended the job: ${String(answer.body.job_status)}`)
    return answer
  }
}
